package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

const buildUsage = `gotrace build - builds an executable from a script

USAGE:
    gotrace build [options] -o TOOL FILE [parameters] [-- --name=value ...]
    gotrace build [options] -o TOOL -e 'program'

TOOL needs no other files: it contains the script, its imports and includes, the
given options and parameters, and the programs compiled for this kernel. On
another kernel, or with other options, it compiles the script again.

    --source-only          do not compile now; for scripts that cannot be compiled
                           here, or need -p or -c
All other options are those of gotrace; TOOL --help shows the tool's own.
`

// build builds a tool and returns the exit status.
func (a *app) build(args []string) int {
	sourceOnly := false
	var rest []string
	for i, arg := range args {
		if arg == "--" {
			rest = append(rest, args[i:]...)
			break
		}
		if arg == "--source-only" {
			sourceOnly = true
			continue
		}
		rest = append(rest, arg)
	}
	if status, ok := a.takeFlags(rest, buildUsage, buildable); !ok {
		return status
	}
	if err := a.makeTool(sourceOnly); err != nil {
		if !errors.Is(err, errReported) {
			a.report.errorf("%v", err)
		}
		return statusError
	}
	return statusOK
}

// errReported is the error of a function that has already reported its error to the
// user.
var errReported = errors.New("reported")

// buildable returns an error if o has options that apply only to a run.
func buildable(o *options) error {
	switch {
	case o.output == "":
		return usagef("USAGE: gotrace build needs -o TOOL, the file to write")
	case o.pid != 0 || o.cmd != "":
		return usagef("USAGE: -p and -c belong to the run: build with --source-only, then call %s -p PID", o.output)
	case o.list || o.info || o.version || o.fmt || o.mode != "" || o.emitELF != "" || len(o.dump) > 0 || o.dryRun:
		return usagef("USAGE: gotrace build makes a tool and runs nothing: it cannot be used with -l, -d, --info, --fmt, --mode, --emit-elf or --dry-run")
	}
	return nil
}

// makeTool compiles the script and writes the executable. If sourceOnly is set, the
// executable contains the script only and compiles it when it starts.
func (a *app) makeTool(sourceOnly bool) error {
	o := a.opt
	f, err := a.readScript()
	if err != nil {
		return err
	}
	t := &tool{
		Name: f.Name, Text: f.Text, Flags: o.given, Params: o.params, Options: o.scriptOpts, Version: version(),
	}
	var diags source.Diags
	tree := parse.File(f, a.defs(), &diags)
	if diags.HasErrors() || tree == nil {
		a.report.diags(diags.All())
		return errReported
	}
	t.About, t.Positional = about(f.Text), positional(tree)
	live := kernel.LiveBTF(a.btfFile())
	a.kernel = live
	a.files = source.RecordFiles()
	if sourceOnly {
		t.Declared = a.readAll(f)
	} else {
		obj, ok := a.compile(f)
		if !ok {
			a.report.diag(source.Diag{Severity: source.Warning, Msg: "no tool was built",
				Hint: "--source-only builds one that is compiled where it runs"})
			return errReported
		}
		if !a.checkOptions(obj.Options) {
			return errReported
		}
		t.Declared, t.object, t.Key, t.Warnings = obj.Options, object.Encode(obj), a.key(), a.warned
		if obj.Needs.OnlyNow != "" {
			t.object = nil
		}
	}
	t.Files = a.files.Packed()
	return writeTool(o.output, t)
}

// writeTool writes this binary and the tool's payload to a file. The file gets its name
// only once it is complete.
func writeTool(path string, t *tool) error {
	self, err := openSelf(os.Args[0])
	if err != nil {
		return err
	}
	defer self.Close()
	_, base, err := readTool(self)
	if err != nil {
		return err
	}
	data := make([]byte, base)
	if _, err := io.ReadFull(self, data); err != nil {
		return outline.Errorf("cannot read our own binary: %w", err)
	}
	if data, err = appendTool(data, t); err != nil {
		return err
	}
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return outline.Errorf("cannot write '%s': it is not a file", path)
	} else if own, ownErr := self.Stat(); err == nil && ownErr == nil && os.SameFile(st, own) {
		return outline.Errorf("cannot write '%s': it is the gotrace that builds the tool", path)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err == nil {
		_, err = tmp.Write(data)
		err = errors.Join(err, tmp.Chmod(0o755), tmp.Close())
		if err == nil {
			err = os.Rename(tmp.Name(), path)
		}
		if err != nil {
			os.Remove(tmp.Name())
		}
	}
	if err != nil {
		return outline.Errorf("cannot write '%s': %w", path, bare(err))
	}
	return nil
}

// about returns the comment at the beginning of a script, without the #! line.
func about(text string) string {
	var lines []string
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if i == 0 && strings.HasPrefix(line, "#!") {
			continue
		}
		if comment, ok := strings.CutPrefix(line, "//"); ok {
			lines = append(lines, strings.TrimPrefix(comment, " "))
			continue
		}
		for _, mark := range []string{"/*", "*/", "*"} {
			if rest, ok := strings.CutPrefix(line, mark); ok && (mark == "/*" || len(lines) > 0) {
				rest = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(rest, "*"), " "), "*/")
				lines = append(lines, strings.TrimRight(rest, " "))
				line = mark
				break
			}
		}
		if line == "" && len(lines) == 0 {
			continue
		}
		if line != "/*" && line != "*" {
			break
		}
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n ")
}

// positional returns the highest number of a positional parameter that the script
// reads.
func positional(tree *ast.Program) int {
	most := 0
	ast.Walk(tree, func(n ast.Node) {
		if p, ok := n.(*ast.Positional); ok {
			most = max(most, int(p.N))
		}
	})
	for _, word := range strings.FieldsFunc(attachText(tree), func(r rune) bool { return strings.ContainsRune(": +,", r) }) {
		if n, err := strconv.Atoi(strings.TrimPrefix(word, "$")); err == nil && strings.HasPrefix(word, "$") {
			most = max(most, n)
		}
	}
	return most
}

// attachText returns the texts of all attach points of the script.
func attachText(tree *ast.Program) string {
	var parts []string
	ast.Walk(tree, func(n ast.Node) {
		if p, ok := n.(*ast.AttachPoint); ok {
			parts = append(parts, p.Parts...)
		}
	})
	return strings.Join(parts, " ")
}

// readAll reads every file that a script includes or imports. It returns the options
// that the script declares if they can be determined on this machine.
func (a *app) readAll(f *source.File) []object.Option {
	env, sess, err := a.target()
	if err != nil {
		return nil
	}
	var diags source.Diags // discarded: the errors may not occur where the tool runs
	checked, err := codegen.Check(f, codegen.Request{Defs: a.defs(), Env: env, Invocation: sess, Config: configure}, &diags)
	if err != nil || checked == nil {
		return nil
	}
	return checked.Options
}
