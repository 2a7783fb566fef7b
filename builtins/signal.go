package builtins

import (
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// signals holds the names and texts of signals by number. They are the same on x86 and
// arm64. Signals from 34 on have no names.
var signals = [...]struct{ name, text string }{
	{}, {"HUP", "Hangup"}, {"INT", "Interrupt"}, {"QUIT", "Quit"}, {"ILL", "Illegal instruction"},
	{"TRAP", "Trace/breakpoint trap"}, {"ABRT", "Aborted"}, {"BUS", "Bus error"}, {"FPE", "Floating point exception"},
	{"KILL", "Killed"}, {"USR1", "User defined signal 1"}, {"SEGV", "Segmentation fault"}, {"USR2", "User defined signal 2"},
	{"PIPE", "Broken pipe"}, {"ALRM", "Alarm clock"}, {"TERM", "Terminated"}, {"STKFLT", "Stack fault"},
	{"CHLD", "Child exited"}, {"CONT", "Continued"}, {"STOP", "Stopped (signal)"}, {"TSTP", "Stopped"},
	{"TTIN", "Stopped (tty input)"}, {"TTOU", "Stopped (tty output)"}, {"URG", "Urgent I/O condition"},
	{"XCPU", "CPU time limit exceeded"}, {"XFSZ", "File size limit exceeded"}, {"VTALRM", "Virtual timer expired"},
	{"PROF", "Profiling timer expired"}, {"WINCH", "Window changed"}, {"IO", "I/O possible"}, {"PWR", "Power failure"},
	{"SYS", "Bad system call"},
}

const maxSignal = 64

// signalNumber finds a signal by its name, with or without SIG.
func signalNumber(name string) int {
	name = strings.TrimPrefix(name, "SIG")
	for n, s := range signals {
		if n > 0 && s.name == name {
			return n
		}
	}
	return 0
}

func signal() *Def {
	return sendSignal("signal", "Sends a signal, by number or name, to the current process. Needs --unsafe.",
		`tracepoint:syscalls:sys_enter_execve /uid == 1000/ { signal("SIGSTOP"); }`, func(*Call) *ir.Helper { return ir.SendSignal })
}

func signalThread() *Def {
	return sendSignal("signal_thread", "Sends a signal, by number or name, to the current thread. Needs --unsafe.",
		`tracepoint:syscalls:sys_enter_execve /uid == 1000/ { signal_thread(19); }`, func(*Call) *ir.Helper { return ir.SendSignalThread })
}

// signalEither returns the builtin from which bpftrace derives the other two.
func signalEither() *Def {
	d := sendSignal("__signal", "signal(), or signal_thread() if the second argument, a literal, is true. Needs --unsafe.",
		`tracepoint:syscalls:sys_enter_execve /uid == 1000/ { __signal("SIGSTOP", false); }`,
		func(call *Call) *ir.Helper {
			if call.Args[1].Lit.Int != 0 {
				return ir.SendSignalThread
			}
			return ir.SendSignal
		})
	d.Params = append(d.Params, Param{Name: "is_tid", Kind: Literal})
	return d
}

//go:noinline
func sendSignal(name, summary, example string, helper func(*Call) *ir.Helper) *Def {
	return &Def{
		Name:   name,
		Kind:   Action,
		Traits: Traits{AtOnce: true, Unsafe: true},
		Params: []Param{{Name: "signal"}},
		Doc:    Doc{Summary: summary, Examples: []string{example}},
		Check: func(c Checker, call *Call) *types.Type {
			if ctx := c.Context(); ctx != nil && ctx.Kind.Runs.Ours() {
				c.Errorf(call.Span, "%s() can not be used for this probetype %s", name, kindShown(c))
				return types.TVoid
			}
			needsTask(c, call)
			a := call.arg(0)
			if a == nil || !call.known(0) {
				return types.TVoid
			}
			if a.Lit != nil && a.Lit.IsStr {
				n := signalNumber(a.Lit.Str)
				if n == 0 {
					c.Errorf(a.Span, "Invalid string for signal: %s", a.Lit.Str)
				}
				call.Data = int64(n)
				return types.TVoid
			}
			call.Data = nil
			if wantInt(c, call, 0) && a.Lit != nil && (a.Lit.Int < 1 || a.Lit.Int > maxSignal) {
				c.Errorf(call.Span, "signal() accepts a string literal or an integer between 1 and %d (inclusive)", maxSignal)
			}
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			var n *ir.Value
			if lit, ok := call.Data.(int64); ok {
				n = g.B().Const(lit)
			} else {
				n = g.Value(&call.Args[0])
			}
			countFailure(g, call, g.B().Call(helper(call), n))
			return nil
		},
	}
}

// countFailure counts an error if a helper's result is not 0.
func countFailure(g Gen, call *Call, r *ir.Value) {
	g.B().If(g.B().Op(ir.OpNe, r, g.B().Const(0)), func() { g.Count(object.HelperFail, call.Span, call.Def.Name) })
}
