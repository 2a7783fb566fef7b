package lang

import (
	"embed"
	"io/fs"
	"strings"
	"unicode"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
)

// library contains the standard library: macros written in the language itself, with
// one file for each topic. The comment above a macro is its documentation.
//
//go:embed stdlib/*.bt
var library embed.FS

// Library returns the macros of the standard library, by topic.
func Library(defs *builtins.Registry) []builtins.Macro {
	var list []builtins.Macro
	for _, p := range libraryFiles(func(string) bool { return true }, defs) {
		topic := strings.TrimSuffix(strings.TrimPrefix(p.File.Name, "stdlib/"), ".bt")
		for _, d := range p.Decls {
			m, ok := d.(*ast.Macro)
			if !ok {
				continue
			}
			l := builtins.Macro{Topic: topic, Name: m.Name.Text, Doc: ast.DocAbove(p.File, p.Comments, m.Span().Start)}
			for _, a := range m.Params {
				l.Params = append(l.Params, a.Span().Text())
			}
			list = append(list, l)
		}
	}
	return list
}

// inLibrary reports whether an import names the standard library or a topic of it.
func inLibrary(path string) bool {
	path = strings.TrimSuffix(path, ".bt")
	if path == "stdlib" {
		return true
	}
	_, err := fs.Stat(library, path+".bt")
	return err == nil
}

// libraryFiles parses the files of the library for which want returns true.
func libraryFiles(want func(text string) bool, defs *builtins.Registry) []*ast.Program {
	var list []*ast.Program
	names, err := fs.Glob(library, "stdlib/*.bt")
	if err != nil {
		panic("lang: the standard library: " + err.Error()) // the pattern is valid
	}
	for _, name := range names {
		text, err := library.ReadFile(name)
		if err != nil {
			panic("lang: the standard library: " + err.Error()) // Glob found it
		}
		if want(string(text)) {
			list = append(list, embedded(name, string(text), defs))
		}
	}
	return list
}

// embedded parses a file that comes with the program.
func embedded(name, text string, defs *builtins.Registry) *ast.Program {
	var diags source.Diags
	p := parse.File(source.NewFile(name, text), defs, &diags)
	if err := diags.Err(); err != nil {
		panic("lang: " + err.Error()) // a test parses all files
	}
	return p
}

// withLibrary adds the macros of the standard library that p may call. A script's own
// macros and functions take precedence.
func withLibrary(p *ast.Program, defs *builtins.Registry) *ast.Program {
	calls, own := map[string]bool{}, map[string]bool{}
	for _, d := range p.Decls {
		switch d := d.(type) {
		case *ast.Macro:
			own[d.Name.Text] = true
		case *ast.Func:
			own[d.Name.Text] = true
		}
	}
	ast.Walk(p, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.Call:
			calls[n.Fn.Text] = !own[n.Fn.Text]
		case *ast.Ident: // a call without arguments needs no parentheses
			calls[n.Name] = !own[n.Name]
		}
	})
	for _, item := range p.C { // the body of a #define may contain calls
		for _, name := range strings.FieldsFunc(item.Text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			calls[name] = !own[name]
		}
	}
	used := func(text string) bool {
		for name, wanted := range calls {
			if wanted && strings.Contains(text, "macro "+name+"(") {
				return true
			}
		}
		return false
	}
	if len(calls) == 0 {
		return p
	}
	files := libraryFiles(used, defs)
	if len(files) == 0 {
		return p
	}
	merged := *p
	merged.Decls = append([]ast.Decl(nil), p.Decls...)
	for _, f := range files {
		for _, d := range f.Decls {
			if m, ok := d.(*ast.Macro); ok && !own[m.Name.Text] {
				m.Library = true
				merged.Decls = append(merged.Decls, m)
			}
		}
	}
	return &merged
}
