package main

import (
	"bufio"
	"fmt"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// list prints the attach points that match the comma-separated search patterns, in the
// form used in scripts. For a pattern that names a type, it prints the type's
// definition.
func (a *app) list(search string) int {
	w := bufio.NewWriter(a.stdout)
	defer w.Flush()
	env := &probes.Env{Kernel: a.kernel, Unsafe: true, PID: a.opt.pid, NoFeature: a.opt.noFeature, DebugInfo: a.opt.debugInfo, FetchDebug: a.fetchDebug()}
	status := statusOK
	for _, pattern := range splitUnquoted(search, ',') {
		pattern = strings.TrimSpace(pattern)
		var err error
		if kind, ok := typePattern(pattern); ok {
			err = a.listTypes(w, kind, pattern)
		} else {
			err = a.listPoints(w, env, pattern)
		}
		if err != nil {
			w.Flush()
			if down := lockedDown(); down != nil {
				err = down
			}
			a.report.err(err)
			status = statusError
		}
	}
	return status
}

// splitUnquoted splits text at a separator outside of quotes, which it leaves.
func splitUnquoted(text string, sep rune) []string {
	quoted := false
	var parts []string
	start := 0
	for i, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case c == sep && !quoted:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

// attachParts splits an attach point into its parts, without their quotes.
func attachParts(text string) []string {
	parts := splitUnquoted(text, ':')
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(p, `"`, "")
	}
	return parts
}

// typePattern recognizes "struct NAME", "union NAME" and "enum NAME".
func typePattern(pattern string) (kind string, ok bool) {
	kind, _, ok = strings.Cut(pattern, " ")
	return kind, ok && (kind == "struct" || kind == "union" || kind == "enum")
}

func (a *app) listTypes(w *bufio.Writer, kind, pattern string) error {
	if _, err := a.kernel.Type("struct task_struct"); err != nil {
		return err // the kernel has no type information at all
	}
	found := false
	name := strings.TrimPrefix(pattern, kind+" ")
	var names []string
	for _, t := range a.kernel.TypeNames(kind) {
		t = strings.TrimPrefix(t, kind+" ")
		names = append(names, t)
		if !wildcard.Match(name, t) {
			continue
		}
		found = true
		t = kind + " " + t
		if !a.opt.verbose {
			fmt.Fprintln(w, t)
			continue
		}
		decl, err := a.kernel.TypeDecl(t)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n\n", strings.TrimRight(decl, "\n"))
	}
	if !found {
		a.nothing(pattern, source.DidYouMean(name, names))
	}
	return nil
}

func (a *app) listPoints(w *bufio.Writer, env *probes.Env, pattern string) error {
	if strings.Contains(pattern, ".") && !strings.ContainsAny(pattern, ":*") {
		a.report.warnf("there is no file '%s': using it as a search pattern", pattern)
	}
	provider, rest, ok := strings.Cut(pattern, ":")
	if !ok {
		provider, rest = "*", pattern
	}
	kinds := probes.Matching(provider)
	if slices.Contains(lang.Providers(), provider) {
		a.listEvents(w, pattern)
		return nil
	}
	if len(kinds) == 0 {
		why := "there is no kind of probe with that name"
		if near := source.DidYouMean(provider, probes.Names()); near != "" {
			why += ": " + near
		}
		a.nothing(pattern, why)
		return nil
	}
	wild, found := strings.Contains(provider, "*"), false
	for _, k := range kinds {
		if k.List == nil {
			continue
		}
		err := k.List(env, attachParts(provider+":"+rest), func(name string) bool {
			found = true
			a.showPoint(w, env, k, name)
			return true
		})
		if err != nil && !wild {
			return err
		}
		if err != nil && a.opt.verbose {
			w.Flush()
			a.report.warnf("%s: %v", k.Name, err)
		}
	}
	if !found {
		hint := ""
		if !wild && kinds[0].Parse != nil {
			hint = kinds[0].Reason(env, attachParts(pattern))
		}
		a.nothing(pattern, hint)
	}
	return nil
}

// listEvents prints the events of a provider that match a pattern, and with -v their
// descriptions and arguments.
func (a *app) listEvents(w *bufio.Writer, pattern string) {
	found := false
	for _, e := range lang.Events(a.defs()) {
		if !wildcard.Match(pattern, e.Name.Text) && pattern != strings.SplitAfter(e.Name.Text, ":")[0] {
			continue
		}
		found = true
		fmt.Fprintln(w, e.Name.Text)
		if !a.opt.verbose {
			continue
		}
		fmt.Fprintf(w, "    // %s\n", e.Doc)
		for _, arg := range e.Args {
			fmt.Fprintf(w, "    %s %s  // %s\n", ast.String(arg.Type), arg.Name.Text, arg.Doc)
		}
	}
	if !found {
		a.nothing(pattern, "")
	}
}

// nothing reports that a list is empty, and the reason. An empty list is not an error.
//
//go:noinline
func (a *app) nothing(pattern, why string) {
	if why != "" {
		why = ": " + why
	}
	if !a.opt.quiet {
		a.report.warnf("nothing matches '%s'%s", pattern, why)
	}
}

// showPoint prints an attach point, and with -v its arguments.
func (a *app) showPoint(w *bufio.Writer, env *probes.Env, k *probes.Kind, name string) {
	fmt.Fprintln(w, name)
	if !a.opt.verbose || k.Parse == nil || k.Context == nil {
		return
	}
	p, err := k.Parse(env, attachParts(name))
	if err != nil {
		return
	}
	if found, err := k.Expand(env, p); err == nil && len(found) > 0 {
		a.showArgs(w, env, found[0])
	}
}

func (a *app) showArgs(w *bufio.Writer, env *probes.Env, p *probes.Point) {
	ctx, err := probes.NewContext(env, p)
	if err != nil || ctx.Args.Lines == nil {
		return
	}
	for _, line := range ctx.Args.Lines() {
		fmt.Fprintf(w, "    %s\n", line)
	}
}

// listProgram prints the expanded attach points of a script.
func (a *app) listProgram(f *source.File) int {
	env, sess, err := a.target()
	if err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	var diags source.Diags
	checked, err := codegen.Check(f, codegen.Request{Defs: a.defs(), Env: env, Invocation: sess, Config: configure}, &diags)
	a.report.diags(diags.All())
	if err != nil {
		a.report.errorf("%v", err)
	}
	if checked == nil || !a.checkOptions(checked.Options) {
		return statusError
	}
	w := bufio.NewWriter(a.stdout)
	defer w.Flush()
	for _, prog := range checked.Progs {
		for _, p := range prog.Points {
			fmt.Fprintln(w, p.Name)
			if a.opt.verbose {
				a.showArgs(w, env, p)
			}
		}
	}
	return statusOK
}
