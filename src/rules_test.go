package src_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

const modulePrefix = "mpproxy/src/"

// roomOf returns the room that a package below src belongs to: the longest listed prefix.
func roomOf(pkg string) (room, bool) {
	for p := pkg; p != "." && p != ""; p = path.Dir(p) {
		if i := slices.IndexFunc(rooms, func(r room) bool { return r.path == p }); i >= 0 {
			return rooms[i], true
		}
	}
	return room{}, false
}

// under reports whether import path p is tree or below it.
func under(p, tree string) bool { return p == tree || strings.HasPrefix(p, tree+"/") }

func underAny(p string, trees []string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool { return under(p, tree) })
}

// checkFile returns what is wrong with one source file; name is its path below src.
func checkFile(name string, source []byte) ([]string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, 0)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	c := checker{files: files, file: file, pkg: path.Dir(name)}
	own, known := roomOf(c.pkg)
	isTest := strings.HasSuffix(name, "_test.go")
	switch {
	case !known && c.pkg != ".":
		c.bad(file, "package %s is in no room: add it to the table in rooms_test.go", c.pkg)
	case isTest:
		c.sleeps()
	default:
		c.imports(own)
		if own.pure {
			c.purity()
		}
	}
	return c.found, nil
}

// checker walks one file.
type checker struct {
	files *token.FileSet
	file  *ast.File
	pkg   string
	found []string
}

func (c *checker) bad(at ast.Node, format string, args ...any) {
	where := c.files.Position(at.Pos())
	c.found = append(c.found, fmt.Sprintf("%s:%d: %s", where.Filename, where.Line, fmt.Sprintf(format, args...)))
}

// imports checks the import lines against the table.
func (c *checker) imports(own room) {
	for _, spec := range c.file.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		for _, r := range rooms {
			if r.path != own.path && underAny(target, r.alone) {
				c.bad(spec, "only %s may import %s", r.path, target)
			}
		}
		if own.pure && underAny(target, impurePackages) && !underAny(target, pureExceptions) {
			c.bad(spec, "a pure room may not import %s", target)
		}
		if pkg, ok := strings.CutPrefix(target, modulePrefix); ok {
			c.roomImport(spec, own, pkg)
		}
		if under(target, "mpproxy/hack") {
			c.bad(spec, "the product may not import the lab")
		}
	}
}

func (c *checker) roomImport(spec ast.Node, own room, pkg string) {
	other, known := roomOf(pkg)
	switch {
	case !known:
		c.bad(spec, "package %s is in no room: add it to the table in rooms_test.go", pkg)
	case other.path == own.path:
	case other.layer >= own.layer:
		c.bad(spec, "%s (layer %d) may not import %s (layer %d): imports point downwards", own.path, own.layer, other.path, other.layer)
	case own.pure && !other.pure:
		c.bad(spec, "pure room %s may not import %s", own.path, other.path)
	case len(other.users) > 0 && !slices.Contains(other.users, own.path):
		c.bad(spec, "%s may not import %s: it is for %s", own.path, other.path, strings.Join(other.users, ", "))
	}
}

// purity looks for clocks, chance and goroutines.
func (c *checker) purity() {
	ast.Inspect(c.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			c.bad(n, "a pure room starts no goroutine")
		case *ast.SelectorExpr:
			switch c.packageOf(n) {
			case "time":
				if slices.Contains(clockNames, n.Sel.Name) {
					c.bad(n, "a pure room has no clock: time.%s", n.Sel.Name)
				}
			case "math/rand", "math/rand/v2":
				if !slices.Contains(seededNames, n.Sel.Name) {
					c.bad(n, "a pure room has no randomness of its own: rand.%s", n.Sel.Name)
				}
			}
		}
		return true
	})
	for _, spec := range c.file.Imports {
		if spec.Name != nil && spec.Name.Name == "." {
			c.bad(spec, "no dot imports: the rules could not see through them")
		}
	}
}

// packageOf returns the import path of the package that a selector's left side names, or "".
func (c *checker) packageOf(sel *ast.SelectorExpr) string {
	ident, ok := sel.X.(*ast.Ident)
	if !ok || ident.Obj != nil { // a variable of that name
		return ""
	}
	for _, spec := range c.file.Imports {
		target, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(target)
		if name == "v2" {
			name = path.Base(path.Dir(target))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name == ident.Name {
			return target
		}
	}
	return ""
}

// sleeps looks for time.Sleep in a test outside a bubble of virtual time (a function given to synctest.Test).
func (c *checker) sleeps() {
	ast.Inspect(c.file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && c.packageOf(sel) == "testing/synctest" {
				return false
			}
		}
		if sel, ok := n.(*ast.SelectorExpr); ok && c.packageOf(sel) == "time" && sel.Sel.Name == "Sleep" {
			c.bad(sel, "no time.Sleep in a test outside synctest: wait for the thing itself, or use virtual time")
		}
		return true
	})
}
