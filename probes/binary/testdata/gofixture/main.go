// Command gofixture calls a function from code that was inlined twice.
package main

import "os"

var sink int

//go:noinline
func leaf(x int) int {
	sink += x
	return sink
}

func inner(x int) int {
	sink++
	return leaf(x) + 1
}

func outer(x int) int { return inner(x) * 2 }

//go:noinline
func work(x int) int {
	r := outer(x)
	sink += r
	return r
}

func main() {
	if work(len(os.Args)) == 0 {
		os.Exit(1)
	}
}
