// Command genref writes the reference of builtins and of the standard library to a
// file, and that of events to another one.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang"
	"github.com/gotrace/gotrace/runtime/outline"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "genref:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return outline.Errorf("usage: genref BUILTINS EVENTS")
	}
	defs := builtins.NewRegistry(builtins.All())
	err := write(args[0], func(w io.Writer) error { return builtins.Reference(w, builtins.All(), lang.Library(defs)) })
	if err != nil {
		return err
	}
	return write(args[1], func(w io.Writer) error { return lang.EventReference(w, defs) })
}

// write writes a file.
func write(name string, text func(w io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(text(f), f.Close())
}
