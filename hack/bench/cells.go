package main

import (
	"fmt"
	"slices"
	"strings"

	"mpproxy/src/linksim"
)

// cell is one profile with one kind of jitter.
type cell struct {
	name    string
	profile string
	links   []linksim.Params
	apart   bool // round trips so far apart that only the floor is asked for
}

// farApart are the profiles of which the sum is not asked.
var farApart = []string{"rtt_320", "lte_geo"}

// What is asked of a cell: share of the sum of ceilings, and of the better link's ceiling.
const (
	wantedSum   = 0.94
	wantedFloor = 0.98
)

// cellsOf returns the profiles, those with jitter in both kinds; only those chosen, by profile or by full name, if any is.
func cellsOf(chosen []string) ([]cell, error) {
	var cells []cell
	var names []string
	for _, p := range linksim.Profiles() {
		c := cell{name: p.Name, profile: p.Name, links: []linksim.Params{p.A, p.B}, apart: slices.Contains(farApart, p.Name)}
		cells = append(cells, c)
		if p.A.Jitter > 0 || p.B.Jitter > 0 {
			a, b := p.A, p.B
			a.Reorder, b.Reorder = a.Jitter > 0, b.Jitter > 0
			c.name, c.links = p.Name+"_reorder", []linksim.Params{a, b}
			cells = append(cells, c)
		}
	}
	for _, c := range cells {
		names = append(names, c.name)
	}
	for _, word := range chosen {
		if !slices.Contains(names, word) {
			return nil, fmt.Errorf("there is no profile %q; profiles are: %s", word, strings.Join(names, " "))
		}
	}
	if len(chosen) > 0 {
		cells = slices.DeleteFunc(cells, func(c cell) bool { return !slices.Contains(chosen, c.name) && !slices.Contains(chosen, c.profile) })
	}
	return cells, nil
}

// describe writes a cell's links.
func describe(links []linksim.Params) string {
	var words []string
	for _, p := range links {
		words = append(words, p.String())
	}
	return strings.Join(words, ",")
}

// better is the larger of the links' ceilings.
func better(links []linksim.Params, share float64) (most float64) {
	for _, p := range links {
		most = max(most, sum([]linksim.Params{p}, share))
	}
	return most
}

// joint is the plain link of the summed rate that a cell's control runs over.
func joint(links []linksim.Params) linksim.Params {
	one := linksim.Params{Delay: links[0].Delay}
	for _, p := range links {
		one.Rate += p.Rate
	}
	return one
}
