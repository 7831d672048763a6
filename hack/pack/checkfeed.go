package main

func checkFeed(o options) error { return nil }
