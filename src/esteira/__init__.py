"""Esteira: the conveyor belt that keeps models alive."""
