package builtins

// Registry finds builtins by name and formatters by type name.
type Registry struct {
	byName map[string]*Def
	byType map[string]*Def
	all    []*Def
}

// NewRegistry indexes defs.
func NewRegistry(defs []*Def) *Registry {
	r := &Registry{byName: map[string]*Def{}, byType: map[string]*Def{}, all: defs}
	for _, d := range defs {
		r.byName[d.Name] = d
		if d.TypeName != "" && (d.Format != nil || d.Merge != nil) {
			r.byType[d.TypeName] = d
		}
	}
	return r
}

// Lookup finds a builtin by its name, or nil.
func (r *Registry) Lookup(name string) *Def { return r.byName[name] }

// ForType finds the builtin that owns an Opaque or Agg type, or nil.
func (r *Registry) ForType(name string) *Def { return r.byType[name] }

// All lists the builtins in the order of the table.
func (r *Registry) All() []*Def { return r.all }
