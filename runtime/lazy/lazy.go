// Package lazy computes tables and regular expressions when they are first used, so that
// a script starts without those that it does not need. Unlike sync.OnceValue, its
// variables need no code that runs at the start of the program.
package lazy

import (
	"regexp"
	"sync"
)

// Value is a value that New computes when it is first used, or the zero value if New is nil.
type Value[T any] struct {
	New   func() T
	once  sync.Once
	value T
}

// Get returns the value.
//
//go:noinline
func (v *Value[T]) Get() T {
	v.once.Do(func() {
		if v.New != nil {
			v.value = v.New()
		}
	})
	return v.value
}

// Result is a value that New computes when it is first used, or the error of New.
type Result[T any] struct {
	New   func() (T, error)
	once  sync.Once
	value T
	err   error
}

// Get returns the value or the error.
//
//go:noinline
func (r *Result[T]) Get() (T, error) {
	r.once.Do(func() { r.value, r.err = r.New() })
	return r.value, r.err
}

// Regexp is a regular expression that is compiled when it is first used. Get panics if it
// is invalid.
type Regexp struct {
	Expr  string
	once  sync.Once
	value *regexp.Regexp
}

// Get returns the compiled expression.
func (r *Regexp) Get() *regexp.Regexp {
	r.once.Do(func() { r.value = regexp.MustCompile(r.Expr) })
	return r.value
}
