package builtins

import (
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/value"
)

// Registry finds builtins by name and formatters by type name.
type Registry struct {
	byName map[string]*Def
	byType map[string]*Def
	all    []*Def

	operators map[string]operator
}

// operator is the function that an operator stands for, and whether its result is negated.
type operator struct {
	function string
	not      bool
}

// NewRegistry returns a registry of defs.
func NewRegistry(defs []*Def) *Registry {
	r := &Registry{byName: map[string]*Def{}, byType: map[string]*Def{}, all: defs, operators: map[string]operator{}}
	for _, d := range defs {
		r.byName[d.Name] = d
		if d.Operator != "" {
			r.operators[d.Operator] = operator{d.Name, false}
		}
		if d.NotOperator != "" {
			r.operators[d.NotOperator] = operator{d.Name, true}
		}
		for _, name := range []string{d.TypeName, d.UnsignedType} {
			if name != "" && (d.Format != nil || d.Merge != nil) {
				r.byType[name] = d
			}
		}
	}
	return r
}

// Lookup returns the builtin with a name, or nil. arg0, arg1 and so on are one builtin,
// "arg".
func (r *Registry) Lookup(name string) *Def {
	if _, ok := ArgIndex(name); ok {
		return r.byName[argFamily]
	}
	if name == argFamily {
		return nil
	}
	return r.byName[name]
}

// ForType returns the builtin that defines an Opaque or Agg type, or nil.
//
//go:noinline
func (r *Registry) ForType(name string) *Def { return r.byType[name] }

// Type returns a builtin's type as a script names it in a declaration, without
// parameters. It returns nil if there is none.
func (r *Registry) Type(name string) *types.Type {
	d := r.byType[name]
	switch {
	case d == nil:
		return nil
	case d.Kind != Aggregation:
		return &types.Type{Kind: types.Opaque, Name: name, Size: d.typeSize()}
	}
	return d.AggType(d.typeSize(), !d.Unsigned && name != d.UnsignedType)
}

// IsPrefix reports whether a text may follow the name of a builtin without parentheses.
func (r *Registry) IsPrefix(name string) bool {
	d := r.Lookup(name)
	return d != nil && d.Prefix
}

// Capture returns the builtin that writes packets to a file, or nil.
func (r *Registry) Capture() *Def {
	for _, d := range r.all {
		if d.Captures {
			return d
		}
	}
	return nil
}

// Interface returns the builtin for the value in an interface of Go, or nil.
func (r *Registry) Interface() *Def {
	for _, d := range r.all {
		if d.Dynamic {
			return d
		}
	}
	return nil
}

// Stop returns the builtin that ends the recording of --recorder.
func (r *Registry) Stop() *Def {
	for _, d := range r.all {
		if d.StopsRecording {
			return d
		}
	}
	return nil
}

// IsVariable reports whether name is a builtin that scripts use like a variable.
func (r *Registry) IsVariable(name string) bool {
	d := r.Lookup(name)
	return d != nil && d.Kind == Variable
}

// Operator returns the function that a word or sign between two operands stands for, and
// whether its result is negated.
func (r *Registry) Operator(sign string) (function string, not bool) {
	op := r.operators[sign]
	return op.function, op.not
}

// Decoder returns a decoder of values, including those of builtins' types.
func (r *Registry) Decoder(env Env) *decode.Decoder {
	s := env.Settings()
	return &decode.Decoder{
		MaxStrlen: s.MaxStrlen, Trailer: s.StrTruncTrailer, Text: func(v value.Value) string { return value.Text(v, s.StrTruncTrailer) },
		Builtin: func(t *types.Type, data []byte) value.Value {
			d := r.ForType(t.Name)
			switch {
			case d == nil || d.Format == nil:
				return value.Null{}
			case d.PartSize > 0 && len(data) > 0 && len(data)%d.PartSize == 0: // the used parts, in any order
			case len(data) < t.Size:
				return value.Null{}
			default:
				data = data[:t.Size]
			}
			return d.Format(env, t, data)
		},
	}
}

// All returns the builtins in the order of the table.
func (r *Registry) All() []*Def { return r.all }

// Names returns the names of the builtins, for did-you-mean hints.
func (r *Registry) Names() []string {
	names := make([]string, len(r.all))
	for i, d := range r.all {
		names[i] = d.Name
	}
	return names
}
