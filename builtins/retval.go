package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func retval() *Def {
	return &Def{
		Name:   "retval",
		Traits: Traits{Ret: true, NotInLoop: true},
		Doc: Doc{
			Summary:  "The return value of the traced function. If that is a struct, retval.member is a member of it; retval alone is the first register.",
			Examples: []string{`kretprobe:vfs_read { @bytes = hist(retval); }`, `kretprobe:make_kuid { @[retval.val] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			ctx := c.Context()
			if ctx == nil || ctx.Ret.Type == nil || ctx.Ret.Read == nil {
				if ctx != nil && ctx.Kind != nil && ctx.Kind.OnReturn {
					c.Errorf(call.Span, "retval: %s returns no value", ctx.Func.Name)
					return types.TInvalid
				}
				hint := ""
				if ctx != nil && ctx.Args.Type != nil && ctx.Ret.Read == nil {
					if _, ok := ctx.Args.Type.Field("ret"); ok {
						hint = " (try to use args.ret instead)"
					}
				}
				c.Errorf(call.Span, "The retval builtin can only be used with 'kretprobe' and 'uretprobe' and 'fexit' probes%s", hint)
				return types.TInvalid
			}
			c.NeedsShape()
			if ctx.Ret.Typed != nil {
				c.NeedsPoint()
				t, err := ctx.Ret.Typed()
				if err != nil {
					c.Errorf(call.Span, "%v", err)
					return types.TInvalid
				}
				if t != nil && t.Kind == types.Struct && t.Space == types.Ctx {
					return t
				}
				if t = inWord(t); t != nil {
					return t
				}
			}
			return ctx.Ret.Type
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if call.Type.Kind == types.Struct {
				return g.Ctx()
			}
			return fromWord(g, call.Type, g.Context().Ret.Read(g.B(), g.Ctx()))
		},
		Store: func(g Gen, call *Call, dst Dest) { storeContext(g, call.Type, dst) },
	}
}

// inWord returns the integer type of the part of a register that a parameter or result
// of type t takes. It returns nil if that is the whole register, or is not known. As in
// C, booleans and enums are numbers. Pointers become integers too, because scripts use
// a map for such a value and for argN of other functions.
func inWord(t *types.Type) *types.Type {
	switch {
	case t == nil:
		return nil
	case t.Kind == types.Int:
		return t
	case t.Kind == types.Bool, t.Kind == types.Enum:
		return types.NewInt(t.Size, t.Signed)
	}
	return nil
}

// fromWord extracts a value of type t from a register. The register's other bits are
// undefined.
func fromWord(g Gen, t *types.Type, v *ir.Value) *ir.Value {
	if !t.IsInteger() {
		return v
	}
	return g.B().Extend(v, t.Size, t.Signed)
}
