// Command embed prints, every second, how many bytes each program has read. It is an
// example of a tracing script within a Go program.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/gotrace/gotrace/runtime/tracer"
	"github.com/gotrace/gotrace/runtime/value"
)

const script = `
tracepoint:syscalls:sys_exit_read /args.ret > 0/ {
	@bytes[comm] = sum((uint64)args.ret);
}`

func main() {
	s, err := tracer.Compile(script, tracer.Options{Stderr: os.Stderr})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	session, err := s.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	before := map[string]value.Uint{}
	for range time.Tick(time.Second) {
		maps, err := session.Snapshot()
		if err != nil || ctx.Err() != nil {
			break
		}
		entries := maps.Map("@bytes").Entries // in ascending order
		fmt.Printf("%-16s %12s %12s\n", "PROGRAM", "BYTES/S", "BYTES")
		for i, e := range slices.Backward(entries) {
			name, n := e.Key.(value.Str).S, e.Value.(value.Uint)
			if len(entries)-i <= 10 {
				fmt.Printf("%-16s %12d %12d\n", name, n-before[name], n)
			}
			before[name] = n
		}
		fmt.Println()
	}
	session.Stop()
	if _, err := session.Wait(); err != nil {
		log.Fatal(err)
	}
}
