package lang

import (
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
)

const (
	maxImports    = 1000    // files in one script
	maxImportSize = 4 << 20 // bytes of one file
)

// importer collects the files that a script imports, each once. The declarations of an
// imported file precede those of the importing file.
type importer struct {
	diags *source.Diags
	defs  *builtins.Registry
	root  string   // directory of the script
	dirs  []string // searched after the directories of the importing file and of the script
	files *source.Files
	seen  map[string]bool // real paths
	out   *ast.Program
}

// imports returns p merged with all files that it imports. If it imports nothing,
// imports returns p itself.
func imports(p *ast.Program, defs *builtins.Registry, dirs []string, files *source.Files, diags *source.Diags) *ast.Program {
	if len(p.Imports) == 0 {
		return p
	}
	merged := *p
	merged.C, merged.Decls = nil, nil
	im := &importer{diags: diags, defs: defs, root: dirOf(p.File), dirs: dirs, files: files, seen: map[string]bool{}, out: &merged}
	if p.File != nil {
		if real, err := im.files.Real(p.File.Name); err == nil {
			im.seen[real] = true
		}
	}
	im.add(p)
	return &merged
}

// add merges a parsed file after its imports.
func (im *importer) add(p *ast.Program) {
	for _, i := range p.Imports {
		im.one(i, p.File)
	}
	im.out.C = append(im.out.C, p.C...)
	im.out.Decls = append(im.out.Decls, p.Decls...)
}

// one merges the files of a single import.
func (im *importer) one(i *ast.Import, from *source.File) {
	var checked []string
	for _, path := range im.candidates(i.Path, from) {
		checked = append(checked, path)
		info, err := im.files.Stat(path)
		if err != nil {
			continue
		}
		if !info.IsDir() {
			im.file(i, path)
			return
		}
		if im.unsafe(i, path, info) {
			return
		}
		entries, err := im.files.ReadDir(path)
		if err != nil {
			im.diags.Errorf(i.Span(), "%v", err)
			return
		}
		var names []string
		for _, e := range entries {
			if importable(e) {
				names = append(names, e)
			}
		}
		sort.Strings(names)
		for _, name := range names {
			im.file(i, filepath.Join(path, name))
		}
		return
	}
	if inLibrary(i.Path) {
		return // its macros are always available
	}
	im.diags.ErrorHint(i.Span(), "checked: "+strings.Join(checked, ", "), "Unable to find suitable path for import")
}

// candidates returns the possible paths of an import: in the importing file's
// directory, in the script's directory, and in dirs.
func (im *importer) candidates(path string, from *source.File) []string {
	if filepath.IsAbs(path) {
		return []string{path}
	}
	dir := dirOf(from)
	list := []string{filepath.Join(dir, path)}
	for _, d := range append([]string{im.root}, im.dirs...) {
		if p := filepath.Join(d, path); !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// dirOf returns the directory of a file.
func dirOf(f *source.File) string {
	if f == nil || f.Name == "stdin" {
		return "."
	}
	return filepath.Dir(f.Name)
}

func importable(name string) bool {
	return strings.HasSuffix(name, ".bt") || strings.HasSuffix(name, ".h")
}

// unsafe reports an error if anyone can write to a file or directory: importing
// it would let them run programs as root.
func (im *importer) unsafe(i *ast.Import, path string, info os.FileInfo) bool {
	if info.Mode().Perm()&0o002 == 0 {
		return false
	}
	im.diags.ErrorHint(i.Span(), "everyone can write to it and could run programs as you", "skipping due to global write permissions: %q", path)
	return true
}

// file merges one file.
func (im *importer) file(i *ast.Import, path string) {
	real, err := im.files.Real(path)
	if err != nil {
		im.diags.Errorf(i.Span(), "%v", err)
		return
	}
	if im.seen[real] {
		return
	}
	im.seen[real] = true
	for _, p := range []string{filepath.Dir(real), real} {
		info, err := im.files.Stat(p)
		if err != nil {
			im.diags.Errorf(i.Span(), "%v", err)
			return
		}
		if im.unsafe(i, p, info) {
			return
		}
		if p == real && (!info.Mode().IsRegular() || info.Size() > maxImportSize) {
			im.diags.Errorf(i.Span(), "%s is not a file of at most %d bytes", path, maxImportSize)
			return
		}
	}
	if len(im.seen) > maxImports {
		im.diags.Errorf(i.Span(), "The script imports more than %d files", maxImports)
		return
	}
	switch {
	case strings.HasSuffix(path, ".bpf.c"):
		im.diags.ErrorHint(i.Span(), "put the functions into the script: fn name($a : int64) : int64 { … }", "%s: C programs cannot be imported, as gotrace contains no C compiler", path)
		return
	case !importable(path):
		im.diags.ErrorHint(i.Span(), "a .bt or .h file, or a directory of them, can be imported", "unknown import type: %q", filepath.Base(path))
		return
	}
	text, err := im.files.ReadFile(real)
	if err != nil {
		im.diags.Errorf(i.Span(), "%v", err)
		return
	}
	f := source.NewFile(path, string(text))
	if strings.HasSuffix(path, ".h") {
		at := ast.At{Pos: source.Span{File: f, End: len(f.Text)}}
		im.out.C = append(im.out.C, &ast.CItem{At: at, Text: f.Text})
		return
	}
	p := parse.File(f, im.defs, im.diags)
	if p == nil {
		return
	}
	if p.Config != nil {
		im.diags.Errorf(p.Config.Span(), "invalid `config` within import")
	}
	im.add(p)
}
