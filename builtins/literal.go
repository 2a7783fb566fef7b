package builtins

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// question is a function whose answer is known when compiling.
func question(name, summary, example string, params []Param, answer func(c Checker, call *Call) (yes, ok bool)) *Def {
	return &Def{
		Name:   name,
		Kind:   Function,
		Params: params,
		Doc:    Doc{Summary: summary, Examples: []string{example}},
		Check: func(c Checker, call *Call) *types.Type {
			yes, ok := answer(c, call)
			if !ok {
				return types.TInvalid
			}
			call.Lit = boolLit(yes)
			return types.TBool
		},
		Emit: emitLit,
	}
}

func boolLit(yes bool) *Lit {
	l := &Lit{IsBool: true}
	if yes {
		l.Int = 1
	}
	return l
}

// emitLit is the Emit of what is an integer known when compiling.
func emitLit(g Gen, call *Call) *ir.Value { return g.B().Const(call.Lit.Int) }

func storeLit(g Gen, call *Call, dst Dest) { storeText(g, call.Lit.Str, dst) }

// typeQuestions are is_str, is_ptr …: what kind of type a value has.
func typeQuestions() []*Def {
	ask := func(name, what string, is func(a *Arg) bool) *Def {
		return question(name, "Whether the argument is "+what+"; known when compiling.",
			`begin { if comptime (`+name+`(comm)) { printf("yes\n"); } }`,
			[]Param{{Name: "value"}},
			func(c Checker, call *Call) (bool, bool) {
				return call.known(0) && is(&call.Args[0]), true
			})
	}
	return []*Def{
		ask("is_str", "a string", func(a *Arg) bool { return a.Type.Kind == types.String }),
		ask("is_ptr", "a pointer", func(a *Arg) bool { return a.Type.Kind == types.Pointer }),
		ask("is_array", "an array", func(a *Arg) bool { return a.Type.Kind == types.Array }),
		ask("is_integer", "an integer", func(a *Arg) bool { return a.Type.Kind == types.Int }),
		ask("is_unsigned_integer", "an unsigned integer", func(a *Arg) bool { return a.Type.Kind == types.Int && !a.Type.Signed }),
		ask("is_literal", "a literal", func(a *Arg) bool { return a.Lit != nil }),
	}
}

func isScalar() *Def {
	return question("is_scalar", "Whether a map has no keys; known when compiling.",
		`begin { @x = 1; if comptime (is_scalar(@x)) { printf("no keys\n"); } }`,
		[]Param{{Name: "map", Kind: MapArg}},
		func(_ Checker, call *Call) (bool, bool) {
			return call.Args[0].Map != nil && !call.Args[0].Map.Keyed, true
		})
}

// kfuncQuestions ask for functions of the kernel that programs can call.
func kfuncQuestions() []*Def {
	ask := func(name, summary string) *Def {
		return question(name, summary,
			`begin { if comptime (`+name+`("bpf_strstr")) { printf("yes\n"); } }`,
			[]Param{{Name: "function"}},
			func(c Checker, call *Call) (bool, bool) {
				f, ok := wantString(c, call, 0)
				if !ok {
					return false, !c.Final()
				}
				_, found := c.Kernel().Kfunc(f)
				return found, true
			})
	}
	return []*Def{
		ask("kfunc_exist", "Whether the kernel has a function of that name that programs can call; known when compiling."),
		ask("kfunc_allowed", "Whether this probe may call the kernel's function of that name; known when compiling."),
	}
}

func staticAssert() *Def {
	return &Def{
		Name:   "static_assert",
		Kind:   Action,
		Params: []Param{{Name: "condition"}, {Name: "message"}},
		Doc: Doc{
			Summary:  "Refuses to compile, with the message, if a condition known when compiling does not hold.",
			Examples: []string{`begin { static_assert(sizeof(uint64) == 8, "a word has 8 bytes"); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			message, ok := wantString(c, call, 1)
			if !ok || !c.Final() {
				return types.TVoid
			}
			switch l := call.Args[0].Lit; {
			case l == nil:
				c.Errorf(call.Args[0].Span, "Unable to resolve comptime expression")
			case !l.IsStr && l.Int == 0:
				c.Errorf(call.Span, "%s", message)
			}
			return types.TVoid
		},
		Emit: emitNothing,
	}
}

func emitNothing(Gen, *Call) *ir.Value { return nil }

func fail() *Def {
	return &Def{
		Name:   "fail",
		Kind:   Action,
		Params: formatParams,
		Doc: Doc{
			Summary:  "Refuses to compile, with the message, wherever it is not left out by a condition known when compiling. The arguments are literals.",
			Examples: []string{`begin { if comptime (!is_integer(pid)) { fail("pid is no number"); } }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !c.Final() {
				return types.TVoid
			}
			m := checkFormat(c, call, 0)
			if m == nil {
				return types.TVoid
			}
			for i := range call.Args[1:] {
				if a := &call.Args[i+1]; a.Lit == nil {
					c.Errorf(a.Span, "fail() only takes literals behind the format")
					return types.TVoid
				}
			}
			c.Errorf(call.Span, "%s", m.renderLits(call.Args[1:]))
			return types.TVoid
		},
		Emit: emitNothing,
	}
}

// renderLits is the message where all arguments are literals.
func (m *message) renderLits(args []Arg) string {
	var out strings.Builder
	n := 0
	for i := range m.format.Pieces {
		switch p := &m.format.Pieces[i]; {
		case p.Verb == 0:
			out.WriteString(p.Text)
		case p.Verb == '%':
			out.WriteByte('%')
		case args[n].Lit.IsStr:
			start := []byte(args[n].Lit.Str)
			out.Write(p.fill(start, 0, 0))
			n++
		case args[n].Lit.IsBool && p.Verb == 's':
			out.WriteString(fmt.Sprint(args[n].Lit.Int != 0))
			n++
		default:
			q := *p
			if q.Verb == 's' {
				q.Verb = 'd'
			}
			out.Write(q.appendInt(nil, m.args[n].t, m.args[n].fixed))
			n++
		}
	}
	return out.String()
}

func checkKey() *Def {
	return &Def{
		Name:   "check_key",
		Kind:   Action,
		Params: []Param{{Name: "map", Kind: MapArg}, {Name: "key"}, {Name: "function"}},
		Doc: Doc{
			Summary:  "Refuses to compile if a map has no keys or keys of another type; the message names the function.",
			Examples: []string{`begin { @x[1] = 2; check_key(@x, 1, "mine()"); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			name, ok := wantString(c, call, 2)
			m := call.Args[0].Map
			if !ok || m == nil {
				return types.TVoid
			}
			if c.Final() && !m.Keyed {
				c.Errorf(call.Span, "call to %s expects a map with explicit keys (non-scalar map)", name)
				return types.TVoid
			}
			c.UseKey(m, call.typeOf(1), call.Args[1].Span)
			return types.TVoid
		},
		Emit: emitNothing,
	}
}
