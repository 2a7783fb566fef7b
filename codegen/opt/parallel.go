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
	workers := runtime.GOMAXPROCS(0)
	if values < fewValues {
		workers = 1
	}
	var next atomic.Int64
	var all sync.WaitGroup
	failures := make([]any, workers)
	for w := range failures {
		all.Go(func() {
			defer func() { failures[w] = recover() }()
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				do(i - 1)
			}
		})
	}
	all.Wait()
	for _, r := range failures {
		if r != nil {
			panic(r)
		}
	}
}
