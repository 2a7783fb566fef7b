package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

var formatParams = []Param{{Name: "format"}, {Name: "args", Variadic: true}}

func printf() *Def {
	return &Def{
		Name:   "printf",
		Kind:   Action,
		Params: formatParams,
		Doc: Doc{
			Summary:  "Prints formatted text. Conversions: %d %i %u %o %x %X %c %p %s, %r %rx %rh for buffers and %gr for allocation flags, with flags, width, precision and length modifiers as in C: %x, %X and %o show 32 bits unless a modifier (%lx) says more; %d, %i and %u always show the whole number.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { printf("%-16s %6d %s\n", comm, pid, str(args.filename)); }`},
		},
		Check: checkMessage,
		Emit:  sendMessage,
		Handle: func(env Env, rec *object.Record) error {
			env.Out().Printf("printf", renderRecord(env, rec))
			return nil
		},
	}
}

// checkMessage is the Check of an action whose arguments are a format and what
// it formats.
func checkMessage(c Checker, call *Call) *types.Type {
	if m := checkFormat(c, call, 0); m != nil {
		call.Data = m
	}
	return types.TVoid
}

// sendMessage is the Emit that goes with it.
func sendMessage(g Gen, call *Call) *ir.Value {
	emitMessage(g, call, call.Data.(*message))
	return nil
}
