package config

// Limit says that of an option's values only some can be used in this version.
type Limit struct {
	Section string `json:"section"`
	Option  string `json:"option"`
	Values  string `json:"values"` // in words, by ", " where it is a list
}

// Limits lists what this version does not offer, so that pages need not offer it either.
func Limits() (list []Limit) {
	for _, u := range notYet() {
		list = append(list, Limit{u.kind, u.option, u.available})
	}
	return list
}
