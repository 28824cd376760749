// SPDX-License-Identifier: LGPL-3.0-or-later
package main

import (
	"fmt"
	"os"
	"sort"
	"sync"
	"time"
)

func main() {
	var wait sync.WaitGroup
	results := make(chan int, 8)
	for i := 0; i < 8; i++ {
		wait.Add(1)
		go func(n int) {
			defer wait.Done()
			time.Sleep(time.Millisecond)
			results <- n * n
		}(i)
	}
	wait.Wait()
	close(results)
	var squares []int
	for r := range results {
		squares = append(squares, r)
	}
	sort.Ints(squares)
	fmt.Println("Hello, world", squares, os.Args[1:], os.Getenv("GREETING"))
	fmt.Fprintln(os.Stderr, "to stderr")
	os.Exit(23)
}
