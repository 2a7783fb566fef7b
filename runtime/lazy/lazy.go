// Package lazy computes tables and regular expressions when they are first used, so that
// a script starts without those that it does not need. Unlike sync.OnceValue, its
// variables need no code that runs at the start of the program.
package lazy

import (
	"regexp"
	"sync"
	"sync/atomic"
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

// Table is a Value whose New is a literal, or otherwise cannot panic: a later Get would
// wait for ever. Its code is a third of that of a Value, and the program has many.
type Table[T any] struct {
	New   func() T
	state state
	value T
}

// Get returns the table.
//
//go:noinline
func (t *Table[T]) Get() T {
	if t.state.begin() {
		t.value = t.New()
		t.state.end()
	}
	return t.value
}

// state tells whether a table is made.
type state struct {
	mu   sync.Mutex
	made atomic.Bool
}

// begin reports whether the caller has to make the table and to call end. Other callers
// wait until then.
//
//go:noinline
func (s *state) begin() bool {
	if s.made.Load() {
		return false
	}
	s.mu.Lock()
	if s.made.Load() {
		s.mu.Unlock()
		return false
	}
	return true
}

//go:noinline
func (s *state) end() {
	s.made.Store(true)
	s.mu.Unlock()
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
