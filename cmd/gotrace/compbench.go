package main

import (
	"fmt"
	"math"
	"time"

	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/source"
)

// Limits of a measurement of the compiler: its time and the number of runs.
const (
	compilerTime = time.Second
	compilerRuns = 1000
)

// benchCompiler compiles the script repeatedly and prints the time of each stage.
func (a *app) benchCompiler(f *source.File) int {
	took := map[string][]time.Duration{}
	a.timed = func(stage string, d time.Duration) { took[stage] = append(took[stage], d) }
	a.report.noWarnings = true // the first compilation has reported them
	for start, n := time.Now(), 0; n < compilerRuns && time.Since(start) < compilerTime; n++ {
		began := time.Now()
		if _, ok := a.compile(f); !ok {
			return statusError
		}
		a.timed("total", time.Since(began))
	}
	fmt.Fprintf(a.stdout, "%-8s %6s %12s %12s\n", "Stage", "Runs", "Average", "Deviation")
	for _, stage := range append(codegen.Stages(), "total") {
		average, deviation := spread(took[stage])
		fmt.Fprintf(a.stdout, "%-8s %6d %12v %12v\n", stage, len(took[stage]), average, deviation)
	}
	return statusOK
}

// spread returns the average of times and their standard deviation.
func spread(times []time.Duration) (average, deviation time.Duration) {
	var sum, squares float64
	for _, d := range times {
		sum += float64(d)
	}
	mean := sum / float64(len(times))
	for _, d := range times {
		squares += (float64(d) - mean) * (float64(d) - mean)
	}
	return time.Duration(mean), time.Duration(math.Sqrt(squares / float64(len(times))))
}
