package lang

import (
	"compress/flate"
	_ "embed"
	"io"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// providers holds the files that declare events, one for each provider, compressed by
// flate. Before the text of each file are lines with its name and its size. The files in
// shared have macros for several providers.
//
//go:embed providers.bin
var providers string

// providerNames are the names of the providers that come with the program, and shared the
// names of the files of macros.
var (
	providerNames = strings.Fields("dns file http mysql net pgsql pkt proc redis tls")
	shared        = []string{"events", "socket", "exchange"}
)

// Providers returns the names of the providers that come with the program.
func Providers() []string { return providerNames }

// providerTexts has the texts of the files by name.
var providerTexts = lazy.Table[map[string]string]{New: func() map[string]string {
	all, err := io.ReadAll(flate.NewReader(strings.NewReader(providers)))
	if err != nil {
		panic("lang: the providers: " + err.Error()) // they are part of the program
	}
	texts := map[string]string{}
	for rest := string(all); rest != ""; {
		name, size := "", ""
		name, rest, _ = strings.Cut(rest, "\n")
		size, rest, _ = strings.Cut(rest, "\n")
		n, _ := strconv.Atoi(size)
		texts[name], rest = rest[:n], rest[n:]
	}
	return texts
}}

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

// providerFile returns the declarations of a provider, or of a file in shared. The maps
// in which a provider keeps its state get names that no script can write.
func providerFile(name string, defs *builtins.Registry) []ast.Decl {
	p := embedded("providers/"+name+".bt", providerTexts.Get()[name], defs)
	for _, d := range p.Decls {
		switch d := d.(type) {
		case *ast.Macro:
			d.Library = true
			continue
		case *ast.Event:
			d.Library = true
		}
		ast.Walk(d, func(n ast.Node) {
			if m, ok := n.(*ast.Map); ok {
				m.Name = name + ":" + m.Name
			}
		})
	}
	return p.Decls
}

// withProviders adds to p the events of the providers that its attach points name, and
// the macros that events need. A script's own events take precedence.
func withProviders(p *ast.Program, defs *builtins.Registry) *ast.Program {
	own, named := map[string]bool{}, map[string]bool{}
	name := func(d ast.Decl) {
		var points []*ast.AttachPoint
		switch d := d.(type) {
		case *ast.Event:
			for _, p := range d.Places {
				points = append(points, p.Points...)
			}
		case *ast.Probe:
			points = d.Points
		}
		for _, ap := range points {
			named[ap.Parts[0]] = true
		}
	}
	for _, d := range p.Decls {
		if e, ok := d.(*ast.Event); ok {
			own[e.Name.Text] = true
		}
		name(d)
	}
	var more []ast.Decl
	added := map[string]bool{}
	for again := true; again; {
		again = false
		for _, provider := range Providers() {
			if !named[provider] || added[provider] {
				continue
			}
			added[provider], again = true, true
			for _, d := range providerFile(provider, defs) {
				if e, ok := d.(*ast.Event); ok && own[e.Name.Text] {
					continue
				}
				name(d)
				more = append(more, d)
			}
		}
	}
	if len(more) == 0 && len(own) == 0 {
		return p
	}
	for _, name := range shared {
		more = append(more, providerFile("shared/"+name, defs)...)
	}
	merged := *p
	merged.Decls = append(more, p.Decls...)
	return &merged
}
