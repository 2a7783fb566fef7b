// Package schema checks lines of JSON against the schemas in docs/schema. It is for tests.
package schema

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// results is the schema of the lines of -f json. It is nil if the directory of the schemas
// does not exist, as on a machine to which only a test was copied.
var results = sync.OnceValues(func() (*jsonschema.Schema, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for {
		file := filepath.Join(dir, "docs/schema/results.json")
		if _, err := os.Stat(file); err == nil {
			return jsonschema.NewCompiler().Compile(file)
		}
		if dir == filepath.Dir(dir) {
			return nil, nil
		}
		dir = filepath.Dir(dir)
	}
})

// Results returns an error if a line of text is not a result of -f json. Empty lines are
// not checked.
func Results(text []byte) error {
	s, err := results()
	if s == nil || err != nil {
		return err
	}
	var errs []error
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err == nil {
			err = s.Validate(v)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", line, err))
		}
	}
	return errors.Join(errs...)
}
