package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
)

// The tests check the commands and scripts in the README and the documents.

const root = "../.."

// documents returns the text of each document by its path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(root + "/docs/*.md")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	docs := map[string]string{}
	for _, path := range append(paths, root+"/README.md", root+"/CONTRIBUTING.md", root+"/CHANGELOG.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(root, path)
		docs[rel] = string(text)
	}
	return docs
}

var (
	inCode = regexp.MustCompile("`([^`]+)`")
	// word is a word of a command line: bare or in quotes.
	word = regexp.MustCompile(`'[^']*'|[^\s']+`)
	// script is a whole script.
	script = regexp.MustCompile(`^[a-zA-Z_]+(:[^\s{]*)*\s*(/.*/\s*)?\{.*\}$`)
	// link is a link to a file of the project.
	link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
)

// snippets returns the code in a document: lines that are indented with a tab, and
// text between backquotes.
func snippets(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if code, ok := strings.CutPrefix(line, "\t"); ok {
			list = append(list, strings.TrimSpace(code))
		}
	}
	for _, m := range inCode.FindAllStringSubmatch(text, -1) {
		list = append(list, strings.Join(strings.Fields(m[1]), " "))
	}
	return list
}

// commandLine returns the words of a command in a document, without the description in
// another column or in a comment. "…" stands for more words.
func commandLine(line string) (words []string) {
	if column := strings.Index(line, "  "); column >= 0 {
		line = line[:column]
	}
	line, _, _ = strings.Cut(line, " #")
	for _, w := range word.FindAllString(line, -1) {
		switch w = strings.Trim(w, "'"); w {
		case "…", "[parameters]":
		case "PID":
			words = append(words, "1")
		default:
			words = append(words, w)
		}
	}
	return words
}

// statement returns the script for a row of the table of costs, or "".
func statement(line string) string {
	cell, ok := strings.CutPrefix(line, "| `")
	if !ok || !strings.Contains(cell, "`") || !strings.Contains(cell, "@") && !strings.Contains(cell, "printf") {
		return ""
	}
	var b strings.Builder
	for i, m := range inCode.FindAllStringSubmatch("`"+cell, -1) {
		b.WriteString("tracepoint:syscalls:" + []string{"sys_enter_openat", "sys_exit_openat"}[i] + " { " + m[1] + " } ")
	}
	return strings.ReplaceAll(b.String(), "args.count", "args.flags")
}

// notHere matches the errors for objects that a script names and this machine lacks:
// the frozen kernel contains only what the tests name, and the users' programs do not
// exist.
var notHere = regexp.MustCompile(`^No matches for |^\w+ target file '\./[^']*' does not exist|^cgroup [^ ]+ does not exist`)

func TestDocuments(t *testing.T) {
	k, err := kernel.Frozen(root + "/tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	compiled, commands, links := 0, 0, 0
	for path, text := range documents(t) {
		compile := func(script string) {
			if script == "PROGRAM" {
				return
			}
			compiled++
			var diags source.Diags
			obj, err := codegen.Compile(source.NewFile(path, script), codegen.Request{
				Env: &probes.Env{Kernel: k}, Invocation: &builtins.Invocation{},
			}, &diags)
			if obj == nil && diags.HasErrors() && notHere.MatchString(diags.All()[0].Msg) {
				return
			}
			if obj == nil || err != nil {
				t.Errorf("%s: %s does not compile: %v %v", path, script, err, diags.All())
			}
		}
		command := func(line string) {
			words := commandLine(line)
			if len(words) > 2 && words[0] == "go" && words[1] == "run" && words[2] == "./cmd/gotrace" {
				words = append([]string{"gotrace"}, words[3:]...)
			}
			switch {
			case len(words) > 1 && words[0] == "gotrace" && words[1] != "is":
				args := words[1:]
				if lookupCommand(args[0]) != nil {
					if args[0] != "build" {
						return
					}
					args = args[1:]
				}
				o, err := parseFlags(args)
				if err != nil {
					t.Errorf("%s: %s: %v", path, line, err)
				}
				if o != nil && o.script != "" {
					compile(o.script)
				}
			case len(words) > 2 && words[0] == "go" && words[1] != "tool":
				dir := strings.TrimSuffix(words[2], "/...")
				if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
					t.Errorf("%s: %s: %v", path, line, err)
				}
			default:
				return
			}
			commands++
		}
		for _, s := range snippets(text) {
			command(s)
			if script.MatchString(s) {
				compile(s)
			}
			if _, in, ok := strings.Cut(s, "tracer.Compile(`"); ok {
				in, _, _ = strings.Cut(in, "`")
				compile(in)
			}
		}
		for line := range strings.Lines(text) {
			if s := statement(line); s != "" {
				compile(s)
			}
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			links++
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: the link to %s: %v", path, m[1], err)
			}
		}
	}
	if compiled < 10 || commands < 15 || links < 20 {
		t.Errorf("only %d scripts, %d commands and %d links are checked", compiled, commands, links)
	}
	t.Logf("%d scripts, %d commands, %d links", compiled, commands, links)
}

// kindsTable returns the table of docs/PROBES.md about kinds of probes, a line for each.
// TestCapabilities of tests/live checks the capabilities on the running kernel.
func kindsTable() []string {
	lines := []string{"| probe | Linux | also needs | |", "|---|---|---|---|"}
	for _, k := range probes.Kinds() {
		var caps []string
		for _, c := range k.Caps {
			caps = append(caps, "`"+string(c)+"`")
		}
		doc, _, _ := strings.Cut(k.Doc, ". ")
		lines = append(lines, fmt.Sprintf("| `%s` | %s | %s | %s |", strings.ReplaceAll(k.Syntax, "|", `\|`), cmp.Or(k.Since, "5.10"), strings.Join(caps, ", "), strings.TrimSuffix(doc, ".")))
	}
	return lines
}

// TestKindsTable checks that docs/PROBES.md has the table of the kinds of probes.
func TestKindsTable(t *testing.T) {
	text := strings.Join(kindsTable(), "\n") + "\n"
	if !strings.Contains(documents(t)["docs/PROBES.md"], text) {
		t.Errorf("docs/PROBES.md does not have this table:\n%s", text)
	}
}
