package feed

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"slices"
)

//go:embed page.html
var pageText string

// Page is the feed's page: the lines to paste, for each kind of system.
func Page(s Set) ([]byte, error) {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("write page: %w", err)
	}
	base := s.Base
	if base == "" {
		base = "https://FEED.EXAMPLE"
	}
	var arches []string
	for _, p := range s.Router {
		arches = append(arches, p.Arch)
	}
	slices.Sort(arches)
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Version": s.Version, "Base": base, "Asked": s.Base == "", "UsignKey": UsignKey, "ApkKey": ApkKey,
		"Pages": len(s.All) > 0, "Debs": slices.Sorted(maps.Keys(s.Server)), "Arches": arches,
	})
	if err != nil {
		return nil, fmt.Errorf("write page: %w", err)
	}
	return b.Bytes(), nil
}
