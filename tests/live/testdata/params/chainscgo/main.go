// Chainscgo has functions in Go and C that call each other, on the stacks of both. Each case
// calls mark(case) from inside of it, again and again until the program is killed.
package main

/*
#cgo CFLAGS: -O2 -fomit-frame-pointer
#cgo LDFLAGS: -rdynamic
void inC(int n);
void back(int n);
*/
import "C"

import "time"

//go:noinline
func toC(n int) int { C.inC(C.int(n)); return n + 1 }

//go:noinline
func thereAndBack(n int) int { C.back(C.int(n)); return n + 1 }

//export inGo
func inGo(n C.int) { toC(int(n)) }

func main() {
	for {
		toC(0)
		thereAndBack(1)
		time.Sleep(time.Millisecond)
	}
}
