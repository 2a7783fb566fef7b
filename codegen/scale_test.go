package codegen_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
)

// shapes are scripts of n lines that are long in one way each.
var shapes = []struct {
	name string
	text func(n int) string
}{
	{"sum", body(func(i int) string { return "@m[1] = sum(args.count + 1);" })},
	{"keys", body(func(i int) string { return fmt.Sprintf("@m[%d] = count();", i) })},
	{"counters", body(func(i int) string { return fmt.Sprintf("@m%d = count();", i%50) })},
	{"slots", body(func(i int) string { return fmt.Sprintf("@m%d = args.count;", i) })},
	{"stats", body(func(i int) string { return fmt.Sprintf("@m[%d, comm] = stats(args.count);", i%10) })},
	{"hist", body(func(i int) string { return fmt.Sprintf("@m[pid] = hist(args.count + %d);", i) })},
	{"printf", body(func(i int) string { return fmt.Sprintf(`printf("%d %%d %%s\n", args.count, comm);`, i) })},
	{"if", body(func(i int) string { return fmt.Sprintf("if (args.count == %d) { @a = %d; }", i, i) })},
	{"vars", body(func(i int) string { return fmt.Sprintf("$v%d = args.count + %d; @x = $v%d;", i, i, i/2) })},
	{"accum", body(func(i int) string {
		return fmt.Sprintf("$a = (uint64)3 + args.count; $a = $a * 3 + args.count; if ($a > %d) { $a = $a - %d; }", i, i)
	})},
	{"elseif", func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read {\n")
		for i := range n {
			fmt.Fprintf(&b, "if (args.count == %d) { @a = %d; } else ", i, i)
		}
		b.WriteString("{ @a = 0; } }")
		return b.String()
	}},
	{"expr", func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read { @a = args.count\n")
		for i := range n {
			fmt.Fprintf(&b, "+ (args.count ^ %d)\n", i)
		}
		b.WriteString("; }")
		return b.String()
	}},
	{"and", func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read { @a = args.count > 0\n")
		for i := range n {
			fmt.Fprintf(&b, "&& args.count != %d\n", i)
		}
		b.WriteString("; }")
		return b.String()
	}},
	{"str", body(func(i int) string { return fmt.Sprintf(`@s[%d] = str(args.buf, 32);`, i%7) })},
	{"probes", func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "interval:us:%d { @a[%d] = count(); }\n", i+100, i)
		}
		return b.String()
	}},
	{"maps", body(func(i int) string { return fmt.Sprintf("@m%d[pid] = %d;", i, i) })},
	{"loop", body(func(i int) string { return fmt.Sprintf("for ($i : 0..3) { @l += $i; }") })},
	{"while", body(func(i int) string {
		return fmt.Sprintf("$i%d = 0; while ($i%d < 4) { $i%d++; @w = $i%d; }", i, i, i, i)
	})},
	{"tern", body(func(i int) string { return fmt.Sprintf("@t = args.count > %d ? 1 : @t + 2;", i) })},
	{"strcmp", body(func(i int) string { return fmt.Sprintf(`if (comm == "name%d") { @c = %d; }`, i, i) })},
}

func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(0, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func body(line func(i int) string) func(n int) string {
	return func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read {\n")
		for i := range n {
			b.WriteString(line(i))
			b.WriteByte('\n')
		}
		b.WriteString("}")
		return b.String()
	}
}

func TestScaleX(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("N"))
	if n == 0 {
		t.Skip()
	}
	var k probes.Kernel = kernel.Live()
	for _, s := range shapes {
		if x := os.Getenv("SHAPE"); x != "" && x != s.name {
			continue
		}
		text := s.text(n)
		diags := &source.Diags{}
		line := ""
		start := cpu()
		last := start
		obj, err := codegen.Compile(source.NewFile("stdin", text), codegen.Options{
			Env:     &probes.Env{Kernel: k, Unsafe: true},
			Session: &builtins.Session{Unsafe: true},
			Config: func(*ast.Program, *source.Diags) *config.Config {
				return &config.Config{
					MaxStrlen: 64, MaxMapKeys: 4096, License: "GPL", MaxProbes: 20240, MaxBPFProgs: 20240,
					StackMode: "bpftrace", StrTruncTrailer: "..", OnStackLimit: 32, MissingProbes: "error",
				}
			},
			Timed: func(stage string, took time.Duration) {
				now := cpu()
				line += fmt.Sprintf(" %s %.0f", stage, float64((now-last).Microseconds())/1000)
				last = now
			},
		}, diags)
		total := cpu() - start
		insns := 0
		if obj != nil {
			for _, p := range obj.Spec.Programs {
				insns += len(p.Instructions)
			}
		}
		msg := ""
		if err != nil {
			msg = err.Error()
		} else if diags.HasErrors() {
			msg = diags.Err().Error()
		} else if os.Getenv("LOAD") != "" {
			start := time.Now()
			err := load(obj)
			msg = fmt.Sprintf("load %.0f ms", float64(time.Since(start).Microseconds())/1000)
			if err != nil {
				e := err.Error()
				msg += e[max(0, len(e)-300):]
			}
		}
		if len(msg) > 400 {
			msg = msg[:400]
		}
		fmt.Printf("%-9s %6d: %6.0f ms %8d insns:%s  %s\n", s.name, n, float64(total.Microseconds())/1000, insns, line, msg)
	}
}
