// Command target is traced by the tests of package probes. It calls Add a given number
// of times, and prints the address of a variable first.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
)

// Add has its arguments in registers.
//
//go:noinline
func Add(a, b int) int { return a + b }

//go:noinline
func addMore(a, b int) int { return a + b + 1 }

var watched int64

func main() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	fmt.Printf("%p\n", &watched)
	bufio.NewReader(os.Stdin).ReadString('\n') // the tests attach meanwhile
	sum := 0
	for i := range n {
		sum += Add(i, 7)
		sum += addMore(i, 7)
		watched++
	}
	fmt.Println(sum)
}
