// Command genref writes the reference of builtins and of the standard library to a
// file.
package main

import (
	"fmt"
	"os"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "genref:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: genref FILE")
	}
	f, err := os.Create(args[0])
	if err != nil {
		return err
	}
	if err := builtins.Reference(f, builtins.All(), lang.Library(builtins.NewRegistry(builtins.All()))); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
