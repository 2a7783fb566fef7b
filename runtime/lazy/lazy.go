// Package lazy computes tables and regular expressions when they are first used, so that
// the start of a script does not pay for those that it does not need.
package lazy

import (
	"regexp"
	"sync"
)

// Value returns a function that returns the result of f. It calls f at its first call.
// The compiler would copy sync.OnceValue, with 1.8 kB, to every place that calls it.
//
//go:noinline
func Value[T any](f func() T) func() T { return sync.OnceValue(f) }

// Regexp returns a function that returns a compiled regular expression. It panics at its
// first call if expr is invalid.
func Regexp(expr string) func() *regexp.Regexp {
	return Value(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
