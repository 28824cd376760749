/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The conformance suite of the processor model; --list prints its table. */
#include "cases.h"
#include <stdio.h>

void cases_ecreate(void **), cases_eadd(void **), cases_eextend(void **), cases_einit(void **);
void cases_eaug(void **), cases_emodpr(void **), cases_emodt(void **), cases_eremove(void **);
void cases_eblock(void **), cases_etrack(void **), cases_debug(void **), cases_paging(void **);
void cases_dispatch(void **), cases_ereport(void **), cases_egetkey(void **);
void cases_eenter(void **), cases_eexit(void **), cases_eresume(void **), cases_edeccssa(void **);
void cases_eaccept(void **), cases_emodpe(void **), cases_eacceptcopy(void **), cases_aex(void **);

static bool listing;
static const char *current_leaf, *current_condition;
static unsigned count;

bool case_begin(const char *leaf, const char *condition)
{
    current_leaf = leaf;
    current_condition = condition;
    machine_reset();
    return true;
}

bool case_end(struct outcome want)
{
    count++;
    if (listing)
        printf("%s\t%s\t%s\n", current_leaf, current_condition, want.name);
    bool right = fault.vector == want.vector;
    if (right && want.vector == SGX_NO_FAULT && want.rax != ~0ULL)
        right = r.rax == want.rax && !!(r.rflags & RFLAGS_ZF) == (want.rax != 0);
    if (right && want.vector == SGX_PF && want.address)
        right = fault.address == want.address;
    if (!right)
        fail_msg("%s: %s: expected %s, got vector %u address %#lx rax %#lx", current_leaf,
                 current_condition, want.name, fault.vector, fault.address, r.rax);
    return false;
}

static void at_least_250_cases(void **state)
{
    if (!listing)
        assert_true(count >= 250);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_dispatch),    cmocka_unit_test(cases_ecreate),
        cmocka_unit_test(cases_eadd),        cmocka_unit_test(cases_eextend),
        cmocka_unit_test(cases_einit),       cmocka_unit_test(cases_eaug),
        cmocka_unit_test(cases_emodpr),      cmocka_unit_test(cases_emodt),
        cmocka_unit_test(cases_eremove),     cmocka_unit_test(cases_eblock),
        cmocka_unit_test(cases_etrack),      cmocka_unit_test(cases_debug),
        cmocka_unit_test(cases_paging),      cmocka_unit_test(cases_eenter),
        cmocka_unit_test(cases_eexit),       cmocka_unit_test(cases_aex),
        cmocka_unit_test(cases_eresume),     cmocka_unit_test(cases_edeccssa),
        cmocka_unit_test(cases_ereport),     cmocka_unit_test(cases_egetkey),
        cmocka_unit_test(cases_eaccept),     cmocka_unit_test(cases_emodpe),
        cmocka_unit_test(cases_eacceptcopy), cmocka_unit_test(at_least_250_cases),
    };
    listing = argc > 1 && strcmp(argv[1], "--list") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
