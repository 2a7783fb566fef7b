// Chains has functions whose callers are found by unwind tables or frame pointers. Each case
// calls mark(case) from inside of it, again and again until the program is killed.
package main

import (
	"runtime"
	"sort"
	"time"
)

var sink int

//go:noinline
func mark(n int) { sink += n }

//go:noinline
func leaf(n int) int { mark(n); return sink + 1 }

type shape interface{ area(n int) int }
type square struct{ side int }

//go:noinline
func (s square) area(n int) int { return leaf(n) + s.side }

//go:noinline
func methods(s shape, n int) int { return s.area(n) + 1 }

//go:noinline
func largeFrame(n int) int { var b [30000]byte; b[n] = 1; r := leaf(n); return r + int(b[n]) }

//go:noinline
func closures(n int) int { k := n; f := func(x int) int { k++; return leaf(x) + k }; return f(n) + 1 }

//go:noinline
func sorts(n int) int {
	a := []int{2, 1}
	sort.Slice(a, func(i, j int) bool { mark(n); return a[i] < a[j] })
	return a[0]
}

//go:noinline
func deferred(n int) (r int) { defer func() { r += leaf(n) }(); return n }

//go:noinline
func panics(n int) { defer func() { recover() }(); defer func() { leaf(n) }(); panic("x") }

//go:noinline
func inGoroutine(n int, done chan int) { leaf(n); done <- n }

// collect has the runtime stop all threads, which it does on the system stack.
//
//go:noinline
func collect() { runtime.GC() }

func main() {
	for {
		methods(square{3}, 0)
		largeFrame(1)
		closures(2)
		sorts(3)
		deferred(4)
		panics(5)
		done := make(chan int)
		go inGoroutine(6, done)
		<-done
		collect()
		time.Sleep(time.Millisecond)
	}
}
