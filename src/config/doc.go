// Package config reads mpproxy's UCI files: text -> sections with line numbers -> one typed, checked, immutable Config.
//
// The way of a file: scan (statements by libuci's own rules, scan.go) -> readUCI (the statements, with every value
// replaced by a placeholder, go through go-uci, which builds sections, options and lists; uci.go) -> decoders of the
// section types (portal.go, remote.go, link.go, peer.go) -> secrets -> checks across sections (check.go).
//
// The detour by placeholders is there because go-uci refuses or misreads values that uci itself writes: apostrophes,
// a backslash at the end, line breaks, empty values, values given twice. So none of them ever reaches it.
//
// Every problem names file, line, section, option, value and what is allowed; all problems of a file are reported at
// once. Unknown options and sections are warnings. Load reads files and nothing else; only WithKey writes one.
package config
