package main

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/runtime"
)

// parsePercent parses a number of percent, with or without the sign, as a share.
func parsePercent(text string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(n > 0 && n <= 100) || strings.ContainsAny(text, "xXeE_") {
		return 0, usagef("USAGE: --max-overhead needs a number of percent above 0 and at most 100, such as 2%% or 0.5, not %q", text)
	}
	return n / 100, nil
}

// budget returns the budget of --max-overhead, or nil.
func (o *options) budget() *runtime.Budget {
	if o.maxOverhead == 0 {
		return nil
	}
	return runtime.NewBudget(o.maxOverhead)
}
