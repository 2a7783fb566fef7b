package builtins

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/value"
)

func wallTime() *Def {
	return &Def{
		Name:   "time",
		Kind:   Action,
		Params: []Param{{Name: "format", Optional: true}},
		Doc: Doc{
			Summary:  `Prints the time of day, as strftime(3) formats it; "%H:%M:%S\n" if no format is given.`,
			Examples: []string{`interval:s:1 { time("%H:%M:%S: still here\n"); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			call.Data = "%H:%M:%S\n"
			if call.arg(0) != nil {
				if format, ok := wantString(c, call, 0); ok {
					call.Data = format
				}
			}
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			g.Event(call, nil, []any{call.Data}, nil)
			return nil
		},
		Handle: func(env Env, rec *object.Record) error {
			env.Out().Printf("time", string(appendTime(nil, rec.Lits[0].(string), time.Now())))
			return nil
		},
	}
}

// A timestamp is a u64 on the clock of the type's first parameter (an index
// into clocks); the other parameters are the format, length first, eight bytes
// a word.
var clocks = []string{clockBoot, clockMonotonic, clockTAI, clockSoftTAI}

func strftime() *Def {
	return &Def{
		Name:     "strftime",
		Kind:     Function,
		TypeName: "timestamp",
		Params:   []Param{{Name: "format"}, {Name: "ns"}},
		Doc: Doc{
			Summary:  "A timestamp of nsecs that prints as strftime(3) formats it in local time; %f stands for microseconds.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { printf("%s %s\n", strftime("%H:%M:%S.%f", nsecs), comm); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			format, ok := wantString(c, call, 0)
			if t := call.typeOf(1); t.Kind != types.Invalid && t.Kind != types.Int && c.Final() {
				c.Errorf(call.Span, "strftime() only supports int arguments (%s provided)", className(t))
				return types.TInvalid
			}
			if !ok {
				return types.TInvalid
			}
			clock := int64(0)
			for i, name := range clocks {
				if call.typeOf(1).Name == name {
					clock = int64(i)
				}
			}
			if clocks[clock] == clockMonotonic {
				c.Errorf(call.Span, "strftime() can not take a monotonic timestamp")
				return types.TInvalid
			}
			if a := call.Args[1]; a.Lit != nil && a.Lit.Int < 0 && !a.Lit.Unsigned {
				c.Errorf(a.Span, "strftime() can not take a negative timestamp")
				return types.TInvalid
			}
			return &types.Type{Kind: types.Opaque, Name: "timestamp", Size: 8, Params: append([]int64{clock}, packText(format)...)}
		},
		ShowType: func(t *types.Type) string { return fmt.Sprintf("timestamp(%q)", unpackText(t.Params[1:])) },
		Emit:     func(g Gen, call *Call) *ir.Value { return g.Value(&call.Args[1]) },
		Format: func(env Env, t *types.Type, data []byte) value.Value {
			ns := binary.NativeEndian.Uint64(data)
			if len(t.Params) < 2 { // declared, never assigned
				return value.Uint(ns)
			}
			var when time.Time
			switch clocks[t.Params[0]] {
			case clockTAI, clockSoftTAI:
				when = time.Unix(0, int64(ns)-taiMinusWall())
			default:
				when = env.BootToWall(ns)
			}
			return value.Str{S: string(appendTime(nil, unpackText(t.Params[1:]), when))}
		},
	}
}

// packText puts a text into numbers: its length, then eight bytes a number.
func packText(s string) []int64 {
	out := []int64{int64(len(s))}
	for ; len(s) > 0; s = s[min(8, len(s)):] {
		var b [8]byte
		copy(b[:], s)
		out = append(out, int64(binary.LittleEndian.Uint64(b[:])))
	}
	return out
}

func unpackText(p []int64) string {
	var b []byte
	for _, w := range p[1:] {
		b = binary.LittleEndian.AppendUint64(b, uint64(w))
	}
	return string(b[:min(int(p[0]), len(b))])
}
