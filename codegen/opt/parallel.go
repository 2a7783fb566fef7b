package opt

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// fewValues is the number of values below which other threads are not worth their start.
const fewValues = 10_000

// parallel calls do for the numbers below n, in no order and on all CPUs if the code to
// work on has many values. A panic of do becomes one of the caller.
func parallel(n, values int, do func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers < 2 || values < fewValues {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var failure atomic.Value
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					failure.Store(&r)
				}
			}()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				do(i)
			}
		})
	}
	all.Wait()
	if r, ok := failure.Load().(*any); ok {
		panic(*r)
	}
}
