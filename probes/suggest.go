package probes

import "github.com/gotrace/gotrace/lang/source"

// nearest returns the candidate that is most similar to name, or "".
func nearest(name string, candidates []string) string { return source.Nearest(name, candidates) }
