package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
)

// format prints the formatted script. With --check it only reports whether
// formatting would change the script.
func (a *app) format(f *source.File) int {
	var diags source.Diags
	tree := parse.File(f, a.defs(), &diags)
	a.report.diags(diags.All())
	if diags.HasErrors() {
		return statusError
	}
	var b bytes.Buffer
	if err := ast.Fprint(&b, tree); err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	switch {
	case a.opt.check:
		if b.String() != f.Text {
			fmt.Fprintf(a.stdout, "%s is not formatted\n", f.Name)
			return statusError
		}
		return statusOK
	case a.opt.output != "":
		if err := replaceFile(a.opt.output, b.Bytes()); err != nil {
			a.report.errorf("cannot write '%s': %v", a.opt.output, bare(err))
			return statusError
		}
		return statusOK
	}
	a.stdout.Write(b.Bytes())
	return statusOK
}

// replaceFile replaces a file atomically, so that readers never see a partial file.
// The file may be the one that the script was read from.
func replaceFile(name string, data []byte) error {
	mode := os.FileMode(0o644)
	if st, err := os.Stat(name); err == nil {
		mode = st.Mode().Perm()
	}
	tmp := fmt.Sprintf("%s.%d.tmp", name, os.Getpid())
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}
