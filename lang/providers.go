package lang

import (
	"embed"
	"io/fs"
	"path"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
)

// providers holds the declarations of events, in one file for each provider. The file
// events.bt has macros for all of them.
//
//go:embed providers/*.bt
var providers embed.FS

const eventMacros = "events"

// Providers returns the names of the providers that come with the program.
func Providers() []string {
	names, err := fs.Glob(providers, "providers/*.bt")
	if err != nil {
		panic("lang: the providers: " + err.Error()) // the pattern is right
	}
	var list []string
	for _, name := range names {
		if name = strings.TrimSuffix(path.Base(name), ".bt"); name != eventMacros {
			list = append(list, name)
		}
	}
	return list
}

// Events returns the events of the providers that come with the program.
func Events(defs *builtins.Registry) []*ast.Event {
	var list []*ast.Event
	for _, name := range Providers() {
		for _, d := range providerFile(name, defs) {
			if e, ok := d.(*ast.Event); ok {
				list = append(list, e)
			}
		}
	}
	return list
}

// providerFile returns the declarations of a provider.
func providerFile(name string, defs *builtins.Registry) []ast.Decl {
	p := embedded(providers, "providers/"+name+".bt", defs)
	for _, d := range p.Decls {
		switch d := d.(type) {
		case *ast.Macro:
			d.Library = true
		case *ast.Event:
			d.Library = true
		}
	}
	return p.Decls
}

// withProviders adds to p the events of the providers that its attach points name, and
// the macros that events need. A script's own events take precedence.
func withProviders(p *ast.Program, defs *builtins.Registry) *ast.Program {
	own, named := map[string]bool{}, map[string]bool{}
	for _, d := range p.Decls {
		switch d := d.(type) {
		case *ast.Event:
			own[d.Name.Text] = true
		case *ast.Probe:
			for _, ap := range d.Points {
				named[ap.Parts[0]] = true
			}
		}
	}
	var more []ast.Decl
	for _, name := range Providers() {
		if !named[name] {
			continue
		}
		for _, d := range providerFile(name, defs) {
			if e, ok := d.(*ast.Event); !ok || !own[e.Name.Text] {
				more = append(more, d)
			}
		}
	}
	if len(more) == 0 && len(own) == 0 {
		return p
	}
	merged := *p
	merged.Decls = append(append(more, providerFile(eventMacros, defs)...), p.Decls...)
	return &merged
}
