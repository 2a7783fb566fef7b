// Package policy reads policy files of other systems. Each system has a package below
// this one, which translates its policies to a script of gotrace's language. This
// package holds what they share: the files, and the rules for what is not supported.
package policy

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Document is one document of a policy file.
type Document struct {
	File *source.File
	Root *yaml.Node
}

// Terms says for which kernel policies are translated, and what they may do.
type Terms struct {
	// Kernel is the kernel that the script will run on.
	Kernel probes.Kernel
	// Self is the ID of the process that runs the policies, or 0. Its system calls cause
	// no events.
	Self int
	// Unsafe allows policies to act: to kill, override, deny or drop. Without it the
	// script reports what they would have done.
	Unsafe bool
	// SkipUnsupported leaves out rules that cannot be translated, with a warning.
	SkipUnsupported bool
	// MayLockOut names policies that may affect all processes, even if that could make
	// the machine unusable.
	MayLockOut []string
}

const skipHint = "--skip-unsupported leaves this rule out"

// messages are messages and hints about scripts by a word of them, and what to print instead
// for policies.
var messages = []struct{ word, text string }{
	{"missing_probes", skipHint},
	{"max_probes", "if the machine can handle more probes, set BPFTRACE_MAX_PROBES in the environment to a larger number"},
	{"max_bpf_progs", "if the machine can handle more programs, set BPFTRACE_MAX_BPF_PROGS in the environment to a larger number"},
	{"a smaller max_map_keys", "a smaller number in BPFTRACE_MAX_MAP_KEYS in the environment takes less memory"},
	{"increasing max_map_keys", "A table of the policies is full. Set BPFTRACE_MAX_MAP_KEYS in the environment to a larger number"},
	{"max_strlen in config", "values of policies have at most 4095 bytes"},
	{"divide the block", "run some of the rules in another process"},
}

// Words returns what to print about policies instead of a message about the script that they
// become. The messages that it does not know are the same for both.
func Words(message string) string {
	for _, m := range messages {
		if strings.Contains(message, m.word) {
			return m.text
		}
	}
	return message
}

// Unsupported reports that a rule uses something that gotrace does not support. It is an
// error, or a warning if such rules are skipped.
func (t *Terms) Unsupported(diags *source.Diags, at source.Span, format string, args ...any) {
	d := source.Diag{Span: at, Msg: fmt.Sprintf(format, args...), Hint: skipHint}
	if t.SkipUnsupported {
		d.Severity, d.Hint = source.Warning, "this rule is left out"
	}
	diags.Add(d)
}

// Read reads policy files, directories and, for "-", standard input. In a directory it
// reads all files whose names end with .yaml, .yml or .json, also in subdirectories, in
// order.
func Read(paths []string, stdin io.Reader, diags *source.Diags) (docs []Document) {
	for _, path := range paths {
		files, err := filesOf(path)
		if err != nil {
			diags.Errorf(source.Span{}, "cannot read '%s': %v", path, reason(err))
			continue
		}
		for _, name := range files {
			text, err := readFile(name, stdin)
			if err != nil {
				diags.Errorf(source.Span{}, "cannot read '%s': %v", name, reason(err))
				continue
			}
			if name == "-" {
				name = "stdin"
			}
			f := source.NewFile(name, text)
			found := Documents(f, diags)
			if len(found) == 0 && !diags.HasErrors() {
				diags.Warnf(source.Span{File: f}, "there is no policy in this file")
			}
			docs = append(docs, found...)
		}
	}
	return docs
}

// Documents returns the documents of a file. A list of resources has one for each.
func Documents(f *source.File, diags *source.Diags) (docs []Document) {
	for _, root := range yaml.Read(f, diags) {
		for _, item := range items(root) {
			docs = append(docs, Document{f, item})
		}
	}
	return docs
}

// items returns the resources in a list of resources, the form in which kubectl prints
// several. If root is not such a list, items returns root.
func items(root *yaml.Node) []*yaml.Node {
	if list := root.Get("items"); strings.HasSuffix(root.Get("kind").Value, "List") && list.Kind == yaml.List {
		return list.Items
	}
	return []*yaml.Node{root}
}

// reason returns the reason of a file error without the operation and the file name.
func reason(err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		return pe.Err
	}
	return err
}

// extensions are those of policy files in directories.
var extensions = []string{".yaml", ".yml", ".json"}

// filesOf returns the files that a path of the command line stands for.
func filesOf(path string) ([]string, error) {
	if path == "-" {
		return []string{path}, nil
	}
	st, err := os.Stat(path)
	if err != nil || !st.IsDir() {
		return []string{path}, err
	}
	var files []string
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		ext := strings.ToLower(filepath.Ext(name))
		if err == nil && !d.IsDir() && slices.Contains(extensions, ext) {
			files = append(files, name)
		}
		return err
	})
	if err == nil && len(files) == 0 {
		err = outline.Errorf("no file below it ends with %s", strings.Join(extensions, ", "))
	}
	slices.Sort(files)
	return files, err
}

// readFile reads a file, or standard input. It stops once the text is larger than
// allowed, as the input may be endless.
func readFile(name string, stdin io.Reader) (string, error) {
	r := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		r = f
	}
	text, err := io.ReadAll(io.LimitReader(r, yaml.MaxSize+1))
	return string(text), err
}

// KindOf returns the kind of a resource of Kubernetes, its field "kind", or "".
func (d Document) KindOf() string { return d.Root.Get("kind").Value }

// Among reports whether s is in a list.
//
//go:noinline
func Among(list []string, s string) bool { return slices.Contains(list, s) }
