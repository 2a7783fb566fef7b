// Command boot runs a command under one of the kernels of the tests:
//
//	go run ./tests/vm/boot [-file SRC:DST]... [-timeout D] KERNEL COMMAND [ARG...]
//
// Its output and exit status are those of the command.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/gotrace/gotrace/tests/vm"
)

func main() {
	g := vm.Guest{Out: os.Stdout}
	flag.Func("file", "copy a file of the host: `SRC:DST` (static programs only; can be repeated)", func(s string) error {
		src, dst, ok := strings.Cut(s, ":")
		if !ok {
			return fmt.Errorf("want SRC:DST")
		}
		g.Files = append(g.Files, vm.File{Src: src, Dst: dst})
		return nil
	})
	flag.DurationVar(&g.Timeout, "timeout", 5*time.Minute, "stop the guest after this long")
	flag.IntVar(&g.CPUs, "cpus", 1, "CPUs of the guest")
	flag.Parse()
	if flag.NArg() < 2 {
		flag.Usage()
		os.Exit(2)
	}
	status, err := run(&g, flag.Arg(0), flag.Args()[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "boot:", err)
		status = 1
	}
	os.Exit(status)
}

func run(g *vm.Guest, kernel string, command []string) (status int, err error) {
	if g.Kernel, err = vm.Find(kernel); err != nil {
		return 0, err
	}
	if err := vm.Setup(); err != nil {
		return 0, err
	}
	g.Command = command
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return g.Run(ctx)
}
