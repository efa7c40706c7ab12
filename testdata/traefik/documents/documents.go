// Package documents reads the project's Markdown files: their code blocks, links and headings. It judges nothing.
package documents

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// A Document is one Markdown file.
type Document struct {
	Name    string // its path in the repository, with slashes
	Text    string
	Blocks  []Block
	Links   []string // where links and pictures lead
	Anchors map[string]bool
}

// A Block is a block of code.
type Block struct {
	Document string
	Language string // empty: none is named
	Text     string
	Item     string // what stands in bold at the start of the list item around it; empty: nothing
}

// Read returns the documents of the repository at root: those at its root, in docs and in .github.
func Read(root string) ([]Document, error) {
	var all []Document
	for _, pattern := range []string{"*.md", "docs/*.md", ".github/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return nil, err
			}
			d, err := parse(filepath.ToSlash(name), data)
			if err != nil {
				return nil, err
			}
			all = append(all, d)
		}
	}
	return all, nil
}

// Blocks returns the blocks in a language; of one document, or if name is empty of all.
func Blocks(all []Document, name, language string) []Block {
	var found []Block
	for _, d := range all {
		for _, b := range d.Blocks {
			if b.Language == language && (name == "" || name == d.Name) {
				found = append(found, b)
			}
		}
	}
	return found
}

func parse(name string, source []byte) (Document, error) {
	d := Document{Name: name, Text: string(source), Anchors: map[string]bool{}}
	markdown := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	tree := markdown.Parser().Parse(text.NewReader(source))
	err := ast.Walk(tree, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch node := node.(type) {
		case *ast.Heading:
			if id, ok := node.AttributeString("id"); ok {
				d.Anchors[string(id.([]byte))] = true
			}
		case *ast.Link:
			d.Links = append(d.Links, string(node.Destination))
		case *ast.Image:
			d.Links = append(d.Links, string(node.Destination))
		case *ast.FencedCodeBlock:
			d.Blocks = append(d.Blocks, Block{name, string(node.Language(source)), code(node, source), item(node, source)})
		case *ast.CodeBlock:
			d.Blocks = append(d.Blocks, Block{name, "", code(node, source), item(node, source)})
		}
		return ast.WalkContinue, nil
	})
	return d, err
}

func code(block ast.Node, source []byte) string {
	var text strings.Builder
	for i := range block.Lines().Len() {
		line := block.Lines().At(i)
		text.Write(line.Value(source))
	}
	return text.String()
}

// item returns the first words in bold of the list item that a node is in.
func item(node ast.Node, source []byte) string {
	for ; node != nil; node = node.Parent() {
		if node.Kind() != ast.KindListItem {
			continue
		}
		bold, ok := node.FirstChild().FirstChild().(*ast.Emphasis)
		if !ok || bold.Level != 2 {
			return ""
		}
		var words strings.Builder
		for child := bold.FirstChild(); child != nil; child = child.NextSibling() {
			if leaf, ok := child.(*ast.Text); ok {
				words.Write(leaf.Segment.Value(source))
			}
		}
		return strings.TrimRight(words.String(), ".,")
	}
	return ""
}
