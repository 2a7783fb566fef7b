package prometheus

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/runtime/output/metrics"
)

// Format is a format of metrics.
type Format struct {
	ContentType string
	Append      func(b []byte, fs []metrics.Family) []byte
}

var (
	text        = Format{"text/plain; version=0.0.4; charset=utf-8", AppendText}
	openMetrics = Format{"application/openmetrics-text; version=1.0.0; charset=utf-8", AppendOpenMetrics}
	proto       = Format{"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", AppendProto}
)

// Negotiate returns the format for the header Accept of a request. Protocol buffers are
// used if the client prefers them. The text format is preferred to OpenMetrics,
// regardless of the client's order, because OpenMetrics cannot express the number of a
// histogram's values without their sum.
func Negotiate(accept string) Format {
	var best, protoQ, openQ, textQ float64
	for part := range strings.SplitSeq(accept, ",") {
		fields := strings.Split(part, ";")
		q := 1.0
		params := map[string]string{}
		for _, f := range fields[1:] {
			name, v, _ := strings.Cut(strings.TrimSpace(f), "=")
			params[strings.ToLower(name)] = strings.Trim(v, `"`)
		}
		if v, ok := params["q"]; ok {
			if n, err := strconv.ParseFloat(v, 64); err == nil {
				q = n
			}
		}
		best = max(best, q)
		switch strings.ToLower(strings.TrimSpace(fields[0])) {
		case "application/vnd.google.protobuf":
			if p := params["proto"]; (p == "" || p == "io.prometheus.client.MetricFamily") && params["encoding"] == "delimited" {
				protoQ = max(protoQ, q)
			}
		case "application/openmetrics-text":
			if v := params["version"]; v == "" || v == "1.0.0" || v == "0.0.1" {
				openQ = max(openQ, q)
			}
		case "text/plain", "text/*", "*/*", "":
			textQ = max(textQ, q)
		}
	}
	switch {
	case protoQ > 0 && protoQ == best:
		return proto
	case textQ > 0 || openQ == 0:
		return text
	}
	return openMetrics
}
