// Package outline contains functions of the standard library that the compiler would insert
// where they are called. A call takes less room.
package outline

import "fmt"

// Errorf is fmt.Errorf.
//
//go:noinline
func Errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }
