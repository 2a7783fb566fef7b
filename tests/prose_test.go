package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// plain lists words that comments, messages and documents do not use, with what to
// write instead.
var plain = []struct {
	words   *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`\b[Cc]an(?:'t| not)\b`), "cannot"},
	{regexp.MustCompile(`\b(?:can|could) (?:not )?be had\b|\bcannot be had\b`), "what is missing: cannot be read, is not known"},
	{regexp.MustCompile(`\b[Nn]obody\b`), "no one, or what does not happen"},
	{regexp.MustCompile(`\bwhereto\b|\bthereof\b|\bso far as\b|\bwhat is only\b`), "a plain sentence"},
	{regexp.MustCompile(`\bis said\b|\bare said\b`), "who reports it, and where"},
	{regexp.MustCompile(`\b(?:behind|takes down)\b`), "after, records"},
	{regexp.MustCompile(`\blet go of\b|\bis asked for\b`), "releases, is needed"},
	{regexp.MustCompile(`\b[Kk]nown when compiling\b`), "known at compile time"},
	{regexp.MustCompile(`\bgives? back\b|\bgiven back\b`), "returns, frees, submits"},
	{regexp.MustCompile(`\b(?:told|tells?|kept) (?:\w+ ){0,3}apart\b`), "distinguishes, separate"},
	{regexp.MustCompile(`\b[Mm]akes? room\b`), "what is removed, or what else may then be there"},
	{regexp.MustCompile(`\b(?:is|are|was|were|not|be) looked for\b`), "who searches what"},
	{regexp.MustCompile(`\b(?:brings?|brought) (?:\w+ ){1,3}up to date\b`), "updates"},
	{regexp.MustCompile(`\bwhat (?:is|was) known of\b`), "the known parts"},
	{regexp.MustCompile(`\b(?:has|have) gone\b`), "has ended, was removed"},
	{regexp.MustCompile(`\b(?:is|are) to be\b`), "must be, or who does it"},
	{regexp.MustCompile(`\b(?:is|are) told\b`), "gets, knows"},
	{regexp.MustCompile(`\b(?:that|those) which\b`), "the noun again"},
	{regexp.MustCompile(`\bturns? of (?:a|the|each|every) loops?\b|\b(?:each|every|one|per) turn\b`), "iteration"},
	{regexp.MustCompile(`\b[Ww]ays? through\b`), "paths through"},
	{regexp.MustCompile(`\bis no [A-Za-z]`), "is not a"},
	{regexp.MustCompile(`\bmost most\b`), "a parameter with another name, such as limit"},
	{regexp.MustCompile(`\b[Bb]ring(?:s|ing)? about\b|\bcan bring\b`), "triggers, causes"},
}

// behind matches names that say behind for after or in.
var behind = regexp.MustCompile(`^behind|[a-z]Behind|^Behind`)

// maxComment is the maximum number of columns of a line that is only a comment.
const maxComment = 100

// exempt lists texts that are correct: those of bpftrace, which other programs search
// for, and words in another meaning.
var exempt = []string{
	"left behind",
	"here is no ",
	"is no longer",
	"is no better",
	"Can not access field",
	"operator can not be used on expressions of type",
	"builtin can not be used with",
	"reg can not be used with",
	"can not be used for this probetype",
	"Map full; can't update element",
	"Can't lookup map element because it does not exist",
	"Can't attach to %d probes because it exceeds the current limit of %d probes",
	"Can't find function parameter",
	"builtin '%s' can't be used as a macro argument",
}

// TestPlainWords checks the comments, the strings and the documents of the tree.
func TestPlainWords(t *testing.T) {
	check := func(at, text string) {
		for _, e := range exempt {
			text = strings.ReplaceAll(text, e, "")
		}
		for _, p := range plain {
			if m := p.words.FindString(text); m != "" {
				t.Errorf("%s: %q: write %s", at, m, p.instead)
			}
		}
	}
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		switch {
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != ".." || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || name == "tests/prose_test.go":
			return nil
		}
		switch filepath.Ext(path) {
		case ".md", ".bt":
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			for i, line := range strings.Split(string(text), "\n") {
				check(name+":"+strconv.Itoa(i+1), line)
			}
		case ".go":
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for i, line := range strings.Split(string(text), "\n") {
				if n := len([]rune(line)); n > maxComment && strings.HasPrefix(strings.TrimSpace(line), "//") {
					t.Errorf("%s:%d: a comment has %d columns: break the line", name, i+1, n)
				}
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			files++
			at := func(p token.Pos) string { return name + ":" + strconv.Itoa(fset.Position(p).Line) }
			for _, g := range f.Comments {
				check(at(g.Pos()), strings.Join(strings.Fields(g.Text()), " "))
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if n.Kind == token.STRING {
						check(at(n.Pos()), n.Value)
					}
				case *ast.Ident:
					if behind.MatchString(n.Name) {
						t.Errorf("%s: %s: write what it does", at(n.Pos()), n.Name)
					}
				}
				return true
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 300 {
		t.Errorf("only %d files are checked", files)
	}
}
