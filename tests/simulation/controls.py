"""controls"""
CONTROLS = {}
