package builtins

import (
	"encoding/binary"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/object"
)

// Limits of join: the number of strings, and the size of each in bytes, including its
// NUL.
const (
	joinArgs = 16
	joinSize = 1024
)

func join() *Def {
	list := types.NewArray(types.NewString(joinSize), joinArgs)
	return &Def{
		Name:   "join",
		Kind:   Action,
		Params: []Param{{Name: "argv"}, {Name: "separator", Optional: true}},
		Doc: Doc{
			Summary:  "Prints the strings of an array of pointers, which ends with a null pointer, with a space or the separator between them. It prints at most 16 strings of at most 1023 bytes.",
			Examples: []string{`tracepoint:syscalls:sys_enter_execve { join(args.argv); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			call.Data = " "
			if call.arg(1) != nil {
				if s, ok := wantString(c, call, 1); ok {
					call.Data = s
				}
			}
			if t := call.typeOf(0); t.Kind != types.Pointer && t.Kind != types.Int && t.Kind != types.Invalid && c.Final() {
				c.Errorf(call.Span, "join() only supports int or pointer arguments (%s provided)", className(t))
			}
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			argv, space := stringSource(g, &call.Args[0])
			ptr := g.Temp(8)
			g.Event(call, []*types.Type{types.TUint32, list}, []any{call.Data}, func(rec *ir.Value, offs []int) {
				g.B().Store(rec, int64(offs[0]), 4, g.B().Const(0))
				var next func(i int)
				next = func(i int) {
					if i == joinArgs {
						return
					}
					g.Read(ptr, 0, 8, g.B().AddImm(argv, int64(8*i)), space, "join")
					b := g.B()
					p := b.Load(ptr, 0, 8, false)
					g.B().If(b.Op(ir.OpNe, p, b.Const(0)), func() {
						g.ReadStr(rec, int64(offs[1]+i*joinSize), g.B().Const(joinSize), joinSize, p, space)
						g.B().Store(rec, int64(offs[0]), 4, g.B().Const(int64(i+1)))
						next(i + 1)
					})
				}
				next(0)
			})
			return nil
		},
		Records: Records{
			Shows: true,
			Sends: []Sent{{Args: []int{4, list.Size}, Lits: []any{""}}},
			Handle: func(env Env, rec *object.Record) error {
				n := int(min(binary.NativeEndian.Uint32(rec.Arg(0)), joinArgs))
				words := make([]string, n)
				for i := range words {
					words[i] = string(decode.Text(rec.Arg(1)[i*joinSize : (i+1)*joinSize]))
				}
				env.Out().Line("join", strings.Join(words, rec.Lits[0].(string)))
				return nil
			},
		},
	}
}
