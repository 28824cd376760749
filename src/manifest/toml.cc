/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* toml++ behind a C border: no exception and no C++ type leaves this file. */
#define TOML_HEADER_ONLY       1
#define TOML_EXCEPTIONS        1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 64

/* Some malformed texts fail an assertion of the parser ("[[[["); that too is the text's error. */
struct parser_assertion {
};
[[noreturn]] static void assertion_failed()
{
    throw parser_assertion();
}
#define TOML_ASSERT(condition) ((condition) ? void(0) : assertion_failed())
#include <toml++/toml.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <sstream>
#include <string_view>
#include <vector>

extern "C" {
#include "manifest/toml.h"
}

namespace
{

/* A key or string that C cannot hold. */
struct unsupported {
    unsigned line;
    const char *what;
};

struct dom *convert(struct arena *a, const toml::node &from, const char *key, unsigned depth);

unsigned line_of(const toml::node &n)
{
    return n.source().begin.line;
}

const char *copy_text(struct arena *a, std::string_view s, unsigned line)
{
    if (s.find('\0') != s.npos)
        throw unsupported{line, "a string or key contains a NUL character"};
    return arena_copy(a, s.data(), s.size());
}

/* std::map orders by key; a user's text has an order of its own. */
void convert_table(struct arena *a, const toml::table &t, struct dom *to, unsigned depth)
{
    using item = std::pair<const toml::key *, const toml::node *>;
    std::vector<item> items;
    items.reserve(t.size());
    for (auto &&[k, v] : t)
        items.emplace_back(&k, &v);
    std::stable_sort(items.begin(), items.end(), [](const item &x, const item &y) {
        const auto &p = x.first->source().begin, &q = y.first->source().begin;
        return p.line != q.line ? p.line < q.line : p.column < q.column;
    });
    for (const item &i : items) {
        unsigned line = i.first->source().begin.line;
        struct dom *child = convert(a, *i.second, copy_text(a, i.first->str(), line), depth + 1);
        if (line) {
            child->line = line;
            child->column = i.first->source().begin.column;
        }
        dom_append(to, child);
    }
}

struct dom *convert(struct arena *a, const toml::node &from, const char *key, unsigned depth)
{
    if (depth > TOML_NEST_MAX)
        throw unsupported{line_of(from), "tables and arrays are nested too deeply"};
    struct dom *n = dom_new(a, DOM_TABLE, nullptr);
    n->key = key;
    n->line = line_of(from);
    n->column = from.source().begin.column;
    if (auto *t = from.as_table()) {
        convert_table(a, *t, n, depth);
    } else if (auto *v = from.as_array()) {
        n->type = DOM_ARRAY;
        for (const toml::node &e : *v)
            dom_append(n, convert(a, e, nullptr, depth + 1));
    } else if (auto *s = from.as_string()) {
        n->type = DOM_STRING;
        n->text = copy_text(a, s->get(), n->line);
        n->len = s->get().size();
    } else if (auto *i = from.as_integer()) {
        n->type = DOM_INTEGER;
        n->integer = i->get();
    } else if (auto *b = from.as_boolean()) {
        n->type = DOM_BOOLEAN;
        n->boolean = b->get();
    } else if (auto *f = from.as_floating_point()) {
        n->type = DOM_FLOAT;
        n->real = f->get();
    } else {
        std::ostringstream text;
        if (auto *date = from.as_date())
            text << date->get();
        else if (auto *time = from.as_time())
            text << time->get();
        else if (auto *both = from.as_date_time())
            text << both->get();
        n->type = DOM_DATE;
        n->text = copy_text(a, text.str(), n->line);
        n->len = text.str().size();
    }
    return n;
}

/*
 * toml++ recurses along the segments of a dotted key and allocates for every value; this pass over
 * the text finds both in bounds before it starts. It knows strings and comments; text that TOML
 * does not allow anyway may be misjudged, which costs nothing.
 */
class Bounds
{
  public:
    explicit Bounds(std::string_view text) : text_(text)
    {
    }

    /* NULL when fine, else what is wrong, at line(). */
    const char *check()
    {
        while (at_ < text_.size()) {
            char c = text_[at_];
            if (c == '"' || c == '\'')
                skip_string(c);
            else if (c == '#')
                skip_comment();
            else if (const char *bad = plain(c))
                return bad;
            else
                at_++;
        }
        return nullptr;
    }
    unsigned line() const
    {
        return line_;
    }

  private:
    const char *plain(char c)
    {
        if (c == '.')
            return ++dots_ >= TOML_NEST_MAX ? "a key has too many parts" : nullptr;
        if (c == '\n')
            line_++;
        if (c == '=' || c == ',' || c == '[' || c == ']' || c == '{' || c == '}' || c == '\n')
            dots_ = 0;
        if (c == '[' || c == '=' || c == ',')
            return ++values_ > TOML_VALUES_MAX ? "too many values" : nullptr;
        return nullptr;
    }
    void skip_comment()
    {
        while (at_ < text_.size() && text_[at_] != '\n')
            at_++;
    }
    void skip_string(char quote)
    {
        const char triple[4] = {quote, quote, quote, 0};
        bool multi = text_.compare(at_, 3, triple) == 0;
        at_ += multi ? 3 : 1;
        while (at_ < text_.size()) {
            char c = text_[at_];
            if (c == '\\' && quote == '"')
                at_++;
            else if (!multi && (c == quote || c == '\n'))
                break;
            else if (multi && text_.compare(at_, 3, triple) == 0) {
                at_ += 3; /* and up to two quotes that belong to the content */
                for (int i = 0; i < 2 && at_ < text_.size() && text_[at_] == quote; i++)
                    at_++;
                return;
            }
            if (at_ < text_.size() && text_[at_] == '\n')
                line_++;
            at_++;
        }
        if (at_ < text_.size() && text_[at_] == quote)
            at_++;
    }

    std::string_view text_;
    std::size_t at_ = 0, values_ = 0;
    unsigned line_ = 1, dots_ = 0;
};

bool asserts(std::string_view text)
{
    try {
        static_cast<void>(toml::parse(text));
    } catch (const parser_assertion &) {
        return true;
    } catch (...) {
    }
    return false;
}

/* An assertion has no position: the line is the first after which the text so far has it. */
unsigned assertion_line(std::string_view text)
{
    std::vector<std::size_t> ends;
    for (std::size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1))
        ends.push_back(at + 1);
    std::size_t lo = 0, hi = ends.size();
    while (lo < hi) {
        std::size_t mid = lo + (hi - lo) / 2;
        if (asserts(text.substr(0, ends[mid])))
            hi = mid;
        else
            lo = mid + 1;
    }
    return static_cast<unsigned>(lo + 1);
}

} // namespace

extern "C" struct dom *toml_parse(struct arena *a, const char *text, size_t len, struct diag *d)
{
    if (len > TOML_TEXT_MAX) {
        diag_error(d, 0, "the text is %zu bytes long, more than the %u MiB a manifest may have",
                   len, TOML_TEXT_MAX >> 20);
        return nullptr;
    }
    try {
        Bounds bounds(std::string_view(text, len));
        if (const char *bad = bounds.check()) {
            diag_error(d, bounds.line(), "%s", bad);
            return nullptr;
        }
        toml::table t = toml::parse(std::string_view(text, len));
        return convert(a, t, nullptr, 0);
    } catch (const toml::parse_error &e) {
        diag_error(d, e.source().begin.line, "%s", e.what());
    } catch (const parser_assertion &) {
        diag_error(d, assertion_line(std::string_view(text, len)), "the text is not TOML");
    } catch (const unsupported &u) {
        diag_error(d, u.line, "%s", u.what);
    } catch (const std::exception &e) {
        diag_error(d, 0, "%s", e.what());
    } catch (...) {
        diag_error(d, 0, "the TOML parser failed");
    }
    return nullptr;
}
