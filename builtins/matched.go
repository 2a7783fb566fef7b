package builtins

import (
	"github.com/gotrace/gotrace/builtins/match"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/types"
)

func matched() *Def {
	return &Def{
		Name:   "matched",
		Kind:   Function,
		Params: matchParams("expression"),
		Traits: Traits{
			// Each group of bytes can be the last one.
			Branches: 60,
		},
		Doc: Doc{
			Summary: "Which of up to 64 regular expressions match somewhere in a string: a number with bit 0 set if the first one does, bit 1 for the second, and so on. " +
				"The expressions are literals, as those of =~. Together they are one automaton, which reads each byte once.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @[matched(str(args.filename), "^/proc/", "^/sys/", "\\.so$")] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			texts, ok := literalTexts(c, call)
			if !wantStr(c, call, 0) || !ok || !call.known(0) {
				return types.TInvalid
			}
			if len(texts) > pattern.MaxPatterns {
				c.Errorf(call.Span, "matched() distinguishes at most %d expressions", pattern.MaxPatterns)
				return types.TInvalid
			}
			if !c.Final() {
				return types.TUint64
			}
			var list []pattern.Pattern
			for i, text := range texts {
				p, err := pattern.Regexp(text)
				if err != nil {
					c.Errorf(call.Args[i+1].Span, "%q: %v", text, err)
					return types.TInvalid
				}
				list = append(list, p)
			}
			auto, err := c.Patterns().Compile(list)
			if err != nil {
				c.ErrorHint(call.Span, "shorten their repetitions, or use several calls", "matched(): %v", err)
				return types.TInvalid
			}
			call.Data = auto
			return types.TUint64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			a := &call.Args[0]
			return match.Run(g, g.Addr(a), a.Type.Size, call.Data.(*pattern.Automaton))
		},
	}
}
