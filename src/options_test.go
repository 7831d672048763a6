package src_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A read option is one that the code reads, with its default as the manual writes it: of switches and numbers, else "".
type readOption struct{ kind, name, usual string }

// kindOf says which type of section a function of package config reads.
func kindOf(function string) string {
	return map[string]string{
		"decodePortal": "portal", "decodeLocal": "portal", "decodeRemotePortal": "portal", "decodeRemote": "remote", "decodeLink": "link", "decodeCap": "link",
		"decodeRule": "rule", "decodeProxy": "rule", "decodeTunnel": "rule", "decodePeer": "peer", "decodeSOCKS": "socks", "decodeUser": "user",
		"decodeRoute": "route", "decodeRelay": "relay",
	}[function]
}

// optionsRead finds all options in the sources of package config, by how its decoder is called.
func optionsRead(t *testing.T) (list []readOption) {
	files, err := filepath.Glob("config/*.go")
	if err != nil {
		t.Fatal(err)
	}
	text := func(e ast.Expr) string {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			s, _ := strconv.Unquote(l.Value)
			return s
		}
		return ""
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || kindOf(f.Name.Name) == "" || strings.HasSuffix(name, "_test.go") {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				o := readOption{kind: kindOf(f.Name.Name)}
				switch of := call.Fun.(type) {
				case *ast.Ident: // value, values, choice
					if len(call.Args) > 1 && (of.Name == "value" || of.Name == "values" || of.Name == "choice") {
						o.name = text(call.Args[1])
					}
				case *ast.SelectorExpr:
					if on, ok := of.X.(*ast.Ident); ok && on.Name == "d" && len(call.Args) > 0 {
						o.name, o.usual = text(call.Args[0]), usual(of.Sel.Name, call.Args)
					}
				}
				if o.name != "" && !strings.Contains(o.name, " ") {
					list = append(list, o)
				}
				return true
			})
		}
	}
	return list
}

// usual is the default of a switch or a number.
func usual(method string, args []ast.Expr) string {
	if len(args) < 2 || method != "bool" && method != "number" {
		return ""
	}
	switch def := args[1].(type) {
	case *ast.BasicLit:
		return def.Value
	case *ast.Ident:
		return map[string]string{"true": "1", "false": "0"}[def.Name]
	}
	return ""
}

// TestManualNamesEveryOption: what the program reads of a section stands in the README where that section does, switches and numbers
// with their default; and nothing stands there that it does not read.
func TestManualNamesEveryOption(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, manual, _ := strings.Cut(string(readme), "\n## Options\n")
	manual, _, _ = strings.Cut(manual, "\n## ")
	sections := map[string]string{}
	for _, part := range strings.Split(manual, "\n**")[1:] {
		kind, _, _ := strings.Cut(strings.TrimSpace(strings.SplitN(part, "**", 2)[0]), " ")
		sections[kind] += part + "\n"
	}
	known := map[string]bool{}
	options := optionsRead(t)
	if len(options) < 100 {
		t.Fatalf("only %d options are read", len(options))
	}
	for _, o := range options {
		known[o.kind+" "+o.name] = true
		at := regexp.MustCompile("`" + o.name + "`[^`]*").FindString(sections[o.kind])
		if at == "" {
			t.Errorf("section %s has an option %s that the README does not name", o.kind, o.name)
		}
		if inUnit := regexp.MustCompile(`\(([0-9]+|[^()]* )?` + o.usual + `[:;,)]`); o.usual != "" && !inUnit.MatchString(at) {
			t.Errorf("section %s, option %s is %s if it is not written; the README says %q", o.kind, o.name, o.usual, at)
		}
	}
	for kind, part := range sections {
		for _, line := range strings.Split(part, "\n") {
			for _, m := range regexp.MustCompile("`([a-z][a-z0-9_]+)`( \\(|[,;:] | of the tunnel| in [A-Zkp]|$)").FindAllStringSubmatch(line, -1) {
				if !known[kind+" "+m[1]] && !anyValue(m[1]) {
					t.Errorf("the README names %s of section %s, which is not read", m[1], kind)
				}
			}
		}
	}
}

// anyValue reports words that the manual quotes and that are values.
func anyValue(word string) bool {
	return strings.Contains(" local remote weighted tunnel proxy dsl ", " "+word+" ")
}
