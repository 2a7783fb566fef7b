package builtins

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// argFamily is the name in the table for arg0, arg1 and so on.
const argFamily = "arg"

// maxArg is the highest N of argN. USDT probes have the most arguments.
const maxArg = 255

// ArgIndex returns N of "argN". It reports whether name has that form.
func ArgIndex(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, argFamily)
	if !ok || digits == "" || len(digits) > 1 && digits[0] == '0' {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > maxArg || digits[0] == '+' || digits[0] == '-' {
		return 0, false
	}
	return n, true
}

func argN() *Def {
	return &Def{
		Name:   argFamily,
		Traits: Traits{Args: true, NotInLoop: true},
		Doc: Doc{
			Summary:  "arg0, arg1, …: argument N of the traced function as a 64-bit integer, for kprobes, uprobes, USDT and raw tracepoints.",
			Examples: []string{`kprobe:vfs_read { @bytes = hist(arg2); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			n, _ := ArgIndex(call.Name)
			call.Data = n
			ctx := c.Context()
			switch {
			case ctx == nil || ctx.Args.Read == nil:
				c.Errorf(call.Span, "The %s builtin can only be used with 'kprobes', 'uprobes' and 'usdt' probes", call.Name)
				return types.TInvalid
			case n >= ctx.Args.N && ctx.Args.N == 0:
				c.Errorf(call.Span, "%s does not exist: the probe has no arguments", call.Name)
				return types.TInvalid
			case n >= ctx.Args.N:
				c.Errorf(call.Span, "%s does not exist: the last one here is arg%d", call.Name, ctx.Args.N-1)
				return types.TInvalid
			case ctx.Args.TypeOf != nil:
				t, warning, err := ctx.Args.TypeOf(n)
				if err != nil {
					c.Errorf(call.Span, "%s", err)
					return types.TInvalid
				}
				if warning != "" {
					c.Warnf(call.Span, "%s", warning)
				}
				return t
			case ctx.Args.TypedOne != nil:
				c.NeedsPoint()
				if t := inWord(ctx.Args.TypedOne(n)); t != nil {
					return t
				}
			}
			return types.TWord
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			return fromWord(g, call.Type, g.Context().Args.Read(g.B(), g.Ctx(), call.Data.(int)))
		},
	}
}
